//! EC2 as one more link: the active writes a counter into the anchor's tag while not all nodes hear all,
//! and a standby that hears nothing reads whether it moves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::anchor::Counter;
use super::super::node::NodeId;
use super::super::settings::FRESH;
use super::super::time::Time;

/// How often the active writes.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// How often a standby tries whether EC2 takes its writes.
const OWN_TAG_EVERY: Duration = Duration::from_secs(10);
/// So many good reads, and so long from the first to the last, make a counter that stands still.
const REST_READS: u32 = 4;
const REST_FOR: Duration = Duration::from_secs(30);

/// The writing side.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Writer {
    n: u64,
    next: Option<Time>,
}

impl Writer {
    /// The number to write now, if it is time.
    pub(super) fn due(&mut self, wanted: bool, now: Time) -> Option<u64> {
        if !wanted {
            self.next = None;
            return None;
        }
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + WRITE_EVERY);
        self.n += 1;
        Some(self.n)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.next
    }
}

/// The reading side: does the holder's counter stand still?
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Rest {
    seen: Option<Seen>,
    own_tag_at: Option<Time>,
    next_own_tag: Option<Time>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Seen {
    holder: NodeId,
    counter: Option<Counter>,
    first: Time,
    last: Time,
    reads: u32,
}

impl Rest {
    /// A good read of the anchor while its holder was silent. It counts only while EC2 takes our own writes:
    /// a counter that nobody can write stands still without a meaning.
    pub(super) fn saw(&mut self, holder: NodeId, counter: Option<Counter>, sent: Time) {
        if self.own_tag_at.is_none_or(|at| sent.since(at) >= FRESH) {
            self.seen = None;
            return;
        }
        match &mut self.seen {
            Some(seen) if seen.holder == holder && seen.counter == counter => {
                seen.last = seen.last.max(sent);
                seen.reads += 1;
            }
            Some(_) | None => {
                self.seen = Some(Seen { holder, counter, first: sent, last: sent, reads: 1 });
            }
        }
    }

    /// The holder is not silent any more, or is another one: start again.
    pub(super) fn forget(&mut self) {
        self.seen = None;
        self.next_own_tag = None;
    }

    /// Whether a write of our own is to be tried now.
    pub(super) fn own_tag_due(&mut self, now: Time) -> bool {
        if self.next_own_tag.is_some_and(|next| now < next) {
            return false;
        }
        self.next_own_tag = Some(now + OWN_TAG_EVERY);
        true
    }

    /// A write of our own was answered; one that failed starts the count anew.
    pub(super) fn own_tag_answered(&mut self, ok: bool, now: Time) {
        self.own_tag_at = ok.then_some(now);
        if !ok {
            self.seen = None;
        }
    }

    /// The counter stands still, and EC2 takes writes.
    pub(super) fn at_rest(&self, holder: NodeId, now: Time) -> bool {
        let rests = self.seen.as_ref().is_some_and(|seen| {
            seen.holder == holder && seen.reads >= REST_READS && seen.last.since(seen.first) >= REST_FOR
        });
        rests && self.own_tag_at.is_some_and(|at| now.since(at) < FRESH)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.next_own_tag
    }
}

#[cfg(test)]
mod tests;
