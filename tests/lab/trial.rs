//! One run of one scenario: the clients that watch it, and what came of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;

use crate::calls::{Calls, Tally};
use crate::clients::{Client, Good, Probe, phone};
use crate::lab::{Lab, PATIENCE, until};
use crate::network::NODES;

/// It is watched for so long before anything happens, and after everything has.
const QUIET: Duration = Duration::from_secs(2);
/// An answer within this is "now".
const NOW: Duration = Duration::from_millis(200);

/// A scenario that runs.
pub(crate) struct Trial {
    pub(crate) active: usize,
    pub(crate) standby: usize,
    probe: Probe,
    calls: Calls,
    phone: Client<Vec<Good>>,
    seq: u64,
    /// When it was done to them.
    pub(crate) done: Instant,
}

/// What the clients have seen.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The longest time without an answer.
    pub(crate) silence: Duration,
    /// Who answered before it and after it.
    pub(crate) answered_by: [usize; 2],
    pub(crate) calls: Tally,
    pub(crate) takeovers: usize,
    /// What else was measured.
    pub(crate) notes: Vec<String>,
}

impl Trial {
    /// A healthy pair that is called, and answers.
    pub(crate) fn begin(lab: &mut Lab) -> anyhow::Result<Self> {
        let (active, standby) = lab.ready()?;
        let probe = Probe::start();
        until("an answer at the Elastic IP", PATIENCE, || {
            Ok(probe.answered_within(NOW).filter(|it| *it == active))
        })?;
        let seq = lab.cloud.last_change();
        let (calls, phone) = (Calls::start(&lab.folder)?, phone());
        std::thread::sleep(QUIET);
        Ok(Self { active, standby, probe, calls, phone, seq, done: Instant::now() })
    }

    /// From now on it counts: to be called where something is done to them.
    pub(crate) fn now(&mut self) {
        self.done = Instant::now();
    }

    /// Waits until callers are answered by this node.
    pub(crate) fn until_answered_by(&self, node: usize) -> anyhow::Result<()> {
        let what = format!("an answer at the Elastic IP by {}", NODES[node]);
        until(&what, PATIENCE, || Ok(self.probe.answered_within(NOW).filter(|it| *it == node)))?;
        Ok(())
    }

    /// Waits until everything is at this node, and looks at what it was like for the clients.
    pub(crate) fn end(self, lab: &mut Lab, active: usize, takeovers: usize) -> anyhow::Result<Outcome> {
        self.until_answered_by(active)?;
        lab.settled(active)?;
        std::thread::sleep(QUIET);
        let moves = lab.cloud.moves_since(self.seq);
        lab.moved(moves.len());
        let calls = self.calls.end()?;
        let seen = self.probe.end()?;
        let (before, after) = seen.silence().ok_or_else(|| anyhow::anyhow!("there were no answers"))?;
        let names: Vec<&str> = moves.iter().map(|it| NODES[*it]).collect();
        ensure!(moves.len() == takeovers, "{} takeovers ({names:?}), not {takeovers}", moves.len());
        // And it is still so.
        lab.settled(active)?;
        let takeovers = moves.len();
        let answered_by = [before.node, after.node];
        let silence = after.at - before.at;
        let mut notes = Vec::new();
        let phone = self.phone.end()?;
        for (what, seen) in
            [("a phone was registered", &phone), ("the carrier has us", &lab.carrier.since(self.done))]
        {
            let again = seen.iter().find(|it| it.at > self.done && it.node == active);
            if let Some(again) = again.filter(|_| active != self.active) {
                notes.push(format!("{what} after {:.1?}", again.at - self.done));
            }
        }
        Ok(Outcome { silence, answered_by, calls, takeovers, notes })
    }
}

/// Seconds since 1970, for the journal.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}
