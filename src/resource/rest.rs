//! The rest: what the anchor's holder takes, all of it at the same time, each piece with its own retries.

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;

use super::anchor::TakeFrom;
use super::{Held, Here, Piece};
use crate::cloud::{Cloud, CloudError, ErrorKind, jitter};
use crate::cluster::Time;
use crate::config::Resource;

/// First pause before a call is repeated; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a call is repeated.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// An Elastic IP that rides follows its address by itself, asynchronously: so often it is looked for before it
/// is told to.
const RIDER_READS: u32 = 3;
/// Between two such looks.
const RIDER_PAUSE: Duration = Duration::from_millis(250);

/// One effort to take what belongs to this node.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// EC2.
    pub cloud: &'a dyn Cloud,
    /// This node.
    pub here: &'a Here,
    /// Whether this node still holds the anchor; asked before each call that changes something.
    pub still: &'a (dyn Fn() -> bool + Sync),
    /// The clock.
    pub now: &'a (dyn Fn() -> Time + Sync),
    /// When nothing is repeated any more. A call under way ends by its own bound.
    pub deadline: Time,
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("here", self.here)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What became of one piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The resource's name in the configuration.
    pub resource: String,
    /// The piece ("eipalloc-0…", "10.0.1.100", "rtb-0… 10.99.0.1/32"); empty if there was none to take.
    pub piece: String,
    /// How it ended.
    pub ending: Ending,
    /// From the start of the run to the piece's first call.
    pub started: Duration,
    /// From the start of the run to the ending.
    pub finished: Duration,
}

/// How the effort for one piece ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It is here.
    Here,
    /// This node no longer holds the anchor, so it made no further call.
    Yielded,
    /// Not now: the last error. Unless it is one that lasts (denied, invalid, not found), the next round of
    /// repair tries again.
    Failed(CloudError),
}

/// Takes everything but the anchor; of the anchor, what does not come with it (the Elastic IP that rides is
/// verified). All pieces at the same time.
pub async fn acquire_rest(run: Run<'_>, resources: &[Resource], anchor: usize) -> Vec<Outcome> {
    let mut wanted = Vec::new();
    let mut impossible = Vec::new();
    for (place, resource) in resources.iter().enumerate() {
        match Piece::of(resource, run.here) {
            Ok(pieces) => {
                let skip = usize::from(place == anchor);
                wanted.push((resource.name(), pieces.into_iter().skip(skip).collect()));
            }
            Err(error) => impossible.push(Outcome {
                resource: resource.name().to_owned(),
                piece: String::new(),
                ending: Ending::Failed(error),
                started: Duration::ZERO,
                finished: Duration::ZERO,
            }),
        }
    }
    let mut outcomes = acquire_pieces(run, &wanted).await;
    outcomes.append(&mut impossible);
    outcomes
}

/// Takes these pieces, named by their resources: all at the same time, but an Elastic IP that rides is
/// verified after its address, if that is taken too.
pub async fn acquire_pieces(run: Run<'_>, wanted: &[(&str, Vec<Piece>)]) -> Vec<Outcome> {
    let start = (run.now)();
    let chains = wanted.iter().flat_map(|(name, pieces)| chains(pieces).map(move |chain| (*name, chain)));
    let efforts = chains.map(async |(name, chain)| {
        let mut outcomes = Vec::new();
        for piece in chain {
            let started = (run.now)().since(start);
            let ending = acquire(run, piece).await;
            let (resource, finished) = (name.to_owned(), (run.now)().since(start));
            let here = ending == Ending::Here;
            outcomes.push(Outcome { resource, piece: piece.to_string(), ending, started, finished });
            if !here {
                break;
            }
        }
        outcomes
    });
    join_all(efforts).await.into_iter().flatten().collect()
}

/// Asks EC2 about each piece of a resource, all at the same time.
///
/// # Errors
/// [`ErrorKind::Invalid`] if this node has no interface for the resource. What a Describe fails with is
/// beside its piece.
pub async fn observe(
    cloud: &dyn Cloud,
    resource: &Resource,
    here: &Here,
) -> Result<Vec<(Piece, Result<Held, CloudError>)>, CloudError> {
    let reads = Piece::of(resource, here)?.into_iter().map(async |piece| {
        let held = piece.observe(cloud).await;
        (piece, held)
    });
    Ok(join_all(reads).await)
}

/// What must happen one after the other: an address, then its rider. Everything else stands alone.
fn chains(pieces: &[Piece]) -> impl Iterator<Item = &[Piece]> {
    pieces.chunk_by(|_, next| matches!(next, Piece::ElasticIp { rides: true, .. }))
}

async fn acquire(run: Run<'_>, piece: &Piece) -> Ending {
    if let Piece::ElasticIp { rides: true, .. } = piece
        && has_followed(run, piece).await
    {
        return Ending::Here;
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match take(run, piece).await {
            Ok(ending) => return ending,
            Err(error) => error,
        };
        let again = match error.kind {
            ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::Credentials
            | ErrorKind::WrongState => true,
            // It may have landed. Looking is cheaper than a second remap, which AWS may charge for.
            ErrorKind::NoAnswer if is_here(run, piece).await => return Ending::Here,
            ErrorKind::NoAnswer => true,
            // Somebody has made the missing route before us: the next attempt replaces it.
            ErrorKind::Conflict if matches!(piece, Piece::Route { .. }) => true,
            // AWS does not say what it answers to who asks for what it has.
            ErrorKind::Conflict | ErrorKind::Invalid if is_here(run, piece).await => return Ending::Here,
            ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Invalid => false,
        };
        let wait = jitter(pause);
        if !again || (run.now)() + wait >= run.deadline {
            return Ending::Failed(error);
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One attempt: one call, but for a route that may be missing.
async fn take(run: Run<'_>, piece: &Piece) -> Result<Ending, CloudError> {
    if !(run.still)() {
        return Ok(Ending::Yielded);
    }
    let first = piece.take(run.cloud, TakeFrom::Anyone).await;
    let (Piece::Route { .. }, Err(error)) = (piece, &first) else {
        return first.map(|()| Ending::Here);
    };
    if error.kind != ErrorKind::NotFound {
        return first.map(|()| Ending::Here);
    }
    if !(run.still)() {
        return Ok(Ending::Yielded);
    }
    piece.take(run.cloud, TakeFrom::Nobody).await.map(|()| Ending::Here)
}

/// Whether the rider is where its address is, within a few reads. A read that fails says no.
async fn has_followed(run: Run<'_>, piece: &Piece) -> bool {
    for read in 0..RIDER_READS {
        if read > 0 {
            tokio::time::sleep(RIDER_PAUSE).await;
        }
        if is_here(run, piece).await {
            return true;
        }
        if !(run.still)() {
            return false;
        }
    }
    false
}

async fn is_here(run: Run<'_>, piece: &Piece) -> bool {
    matches!(piece.observe(run.cloud).await, Ok(Held::Here))
}

#[cfg(test)]
mod tests;
