//! What this node knows of the anchor, and when it asks again.
//!
//! Reads lag behind writes in EC2. So a read is believed against the last change that we know of only if
//! it was sent five seconds after it, or says the same (design: "settled").

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::anchor::{AnchorRead, Counter, Owner};
use super::super::random::Random;
use super::super::settings::{FRESH, OPEN_CALL, SETTLE};
use super::super::time::Time;

/// How long every second is asked after a change.
const CLOSELY: Duration = Duration::from_secs(15);
/// At most so many reads are under way at once.
const READS_AT_ONCE: usize = 4;

/// The last change that we know of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in super::super) enum Change {
    /// Our start, our thaw, the end of maintenance: it may be anyone's.
    Unknown,
    /// Our own take, which EC2 answered.
    OwnTake,
    /// A peer's claim, or our own yield.
    To(Owner),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in super::super) struct Knowledge {
    pub(in super::super) last: Option<Last>,
    pub(in super::super) failures: u32,
    change: Change,
    changed_at: Time,
    under_way: Vec<(u64, Time)>,
    sent_at: Option<Time>,
    wait: Duration,
    closely_until: Time,
    open_until: Option<Time>,
    now_wanted: bool,
}

/// The last good read.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(in super::super) struct Last {
    pub(in super::super) owner: Owner,
    pub(in super::super) counter: Option<Counter>,
    /// When its request was sent.
    pub(in super::super) sent: Time,
}

/// How closely the anchor is watched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Watch {
    /// We are active.
    Active,
    /// We are standby.
    Standby,
    /// A node of the group is late or silent.
    Quiet,
    /// We are about to take, and wait for our step or after a failure: somebody else may do it meanwhile.
    Taking,
}

impl Knowledge {
    pub(in super::super) fn new(now: Time) -> Self {
        Self {
            last: None,
            failures: 0,
            change: Change::Unknown,
            changed_at: now,
            under_way: Vec::new(),
            sent_at: None,
            wait: Duration::ZERO,
            closely_until: now + CLOSELY,
            open_until: None,
            now_wanted: true,
        }
    }

    /// Something changed, or may have: what EC2 said before is worth less.
    pub(in super::super) fn changed(&mut self, change: Change, now: Time) {
        self.change = change;
        self.changed_at = now;
        self.closely(now);
        if change != Change::OwnTake {
            self.now_wanted = true;
        }
    }

    /// A peer has fallen silent, say: ask now, and each second for a while.
    pub(in super::super) fn closely(&mut self, now: Time) {
        self.closely_until = now + CLOSELY;
    }

    /// Ask at once.
    pub(in super::super) fn ask_now(&mut self) {
        self.now_wanted = true;
    }

    /// A call of ours got no answer: it may land within two minutes.
    pub(in super::super) fn call_left_open(&mut self, now: Time) {
        self.open_until = Some(now + OPEN_CALL);
    }

    /// Whether a call of ours may still land.
    pub(in super::super) fn call_open(&self, now: Time) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    /// Whether our own take was answered so lately that no read is needed to know it.
    pub(in super::super) fn just_took(&self, now: Time) -> bool {
        self.change == Change::OwnTake && now.since(self.changed_at) < SETTLE
    }

    /// Whether `sent` lies before the last change: then an answer to it is no news.
    pub(in super::super) fn precedes_change(&self, sent: Time) -> bool {
        sent < self.changed_at
    }

    /// Settled or not, and who holds the anchor. `None`: unknown.
    pub(in super::super) fn anchor(&self, now: Time) -> (bool, Option<Owner>) {
        let read = self.last.filter(|last| last.sent >= self.changed_at);
        if let Some(last) = read.filter(|last| last.sent >= self.changed_at + SETTLE) {
            return (true, (now.since(last.sent) < FRESH).then_some(last.owner));
        }
        let seen = read.map_or(self.changed_at, |last| last.sent);
        if now.since(seen) >= FRESH {
            return (true, None);
        }
        match self.change {
            Change::Unknown => (false, None),
            Change::OwnTake => (true, Some(Owner::Mine)),
            Change::To(owner) => (read.is_some_and(|last| last.owner == owner), Some(owner)),
        }
    }

    /// Whether a read sent less than 30 s ago was answered (GATE).
    pub(in super::super) fn fresh(&self, now: Time) -> bool {
        self.read_within(FRESH, now)
    }

    /// Whether a read that was sent so lately was answered.
    pub(in super::super) fn read_within(&self, limit: Duration, now: Time) -> bool {
        self.last.is_some_and(|last| now.since(last.sent) < limit)
    }

    /// When this knowledge becomes too old.
    pub(in super::super) fn stale_at(&self) -> Time {
        let sent = self.last.map_or(self.changed_at, |last| last.sent.max(self.changed_at));
        sent + FRESH
    }

    /// An answer. `true`: it is news.
    pub(in super::super) fn answered<E>(
        &mut self,
        call: u64,
        answer: Result<AnchorRead, E>,
        random: &mut Random,
        now: Time,
    ) -> bool {
        let Some(at) = self.under_way.iter().position(|(number, _)| *number == call) else { return false };
        let (_, sent) = self.under_way.swap_remove(at);
        let Ok(read) = answer else {
            self.failures = self.failures.saturating_add(1);
            let back_off = Duration::from_secs(1 << self.failures.min(3).saturating_sub(1));
            self.wait = back_off + Duration::from_millis(random.below(1000));
            return false;
        };
        self.failures = 0;
        if self.last.is_some_and(|last| last.sent >= sent) {
            return false;
        }
        if self.last.is_some_and(|last| last.owner != read.owner) {
            // Somebody has moved it: whoever waits for a step must see what happens meanwhile.
            self.closely(now);
        }
        self.last = Some(Last { owner: read.owner, counter: read.counter, sent });
        true
    }

    /// Whether a read is to be sent now; then it counts as sent, with this number.
    pub(in super::super) fn read_due(&mut self, watch: Watch, call: u64, now: Time) -> bool {
        let due = self.now_wanted || now >= self.next_read(watch, now);
        if !due || self.under_way.len() >= READS_AT_ONCE {
            return false;
        }
        self.now_wanted = false;
        self.sent_at = Some(now);
        self.under_way.push((call, now));
        true
    }

    /// When the next read is to be sent.
    pub(in super::super) fn next_read(&self, watch: Watch, now: Time) -> Time {
        let Some(sent) = self.sent_at else { return now };
        let closely = now < self.closely_until
            || self.call_open(now)
            || !self.anchor(now).0
            || self.under_way.len() > 1;
        let wait = if closely && self.failures <= 15 {
            Duration::from_secs(1)
        } else if self.failures > 0 {
            self.wait
        } else {
            match watch {
                Watch::Active => Duration::from_secs(10),
                Watch::Standby => Duration::from_secs(20),
                Watch::Quiet => Duration::from_secs(5),
                Watch::Taking => Duration::from_secs(1),
            }
        };
        sent + wait
    }
}

#[cfg(test)]
mod tests;
