//! The lease: this node's side of the item in DynamoDB that owns the group, where `arbiter = "dynamodb"`.
//!
//! Reads are consistent and writes are conditional, so nothing here waits for anything to settle. What is
//! reckoned is time, always to this node's disadvantage: a renewal counts from the start of its first attempt;
//! standing down begins early enough to be finished at 0.8 of the lease; a contender waits a whole lease from the
//! receipt of the first answer that showed the present nonce. So clocks may differ in rate by 10 % each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::anchor::Owner;
use super::super::event::Failure;
use super::super::lease::Lease;
use super::super::node::NodeId;
use super::super::random::Random;
use super::super::settings::{FRESH, LeaseSettings};
use super::super::time::Time;

mod write;

pub(super) use write::{Purpose, Settled, Write};

/// This node's side of the lease.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in super::super) struct Leasing {
    pub(in super::super) settings: LeaseSettings,
    me: NodeId,
    /// A stream of its own, so that a recording's nonces do not depend on what else is drawn.
    nonces: Random,
    started: Time,
    pub(in super::super) seen: Option<Seen>,
    /// The lease is ours, and its last renewal counts from here.
    renewed: Option<Time>,
    pub(super) write: Option<Write>,
    reads: Vec<(u64, Time)>,
    read_at: Option<Time>,
    read_wanted: bool,
    /// So many answers in a row were none.
    pub(in super::super) failures: u32,
    /// What the guard was last told.
    pub(super) guarded: Option<Time>,
}

/// What stood in the table.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(in super::super) struct Seen {
    pub(in super::super) lease: Option<Lease>,
    /// When the first answer that showed this was received.
    first: Time,
    /// When the request of the last good read was sent, or the answer to our own write was received.
    pub(super) sent: Time,
}

impl Leasing {
    pub(super) fn new(settings: LeaseSettings, me: NodeId, nonces: Random, now: Time) -> Self {
        Self {
            settings,
            me,
            nonces,
            started: now,
            seen: None,
            renewed: None,
            write: None,
            reads: Vec::new(),
            read_at: None,
            read_wanted: true,
            failures: 0,
            guarded: None,
        }
    }

    /// Between two renewals.
    fn renew_every(&self) -> Duration {
        self.settings.length / 5
    }

    /// So long an attempt is waited for before it is repeated.
    fn attempt(&self) -> Duration {
        self.settings.length / 10
    }

    /// When the service has to have stopped, if nothing is renewed: 0.8 of the lease.
    pub(super) fn stopped_by(&self) -> Option<Time> {
        self.renewed.map(|at| at + self.settings.length * 4 / 5)
    }

    /// Until when this node may serve: then standing down has to begin.
    pub(super) fn serves_until(&self) -> Option<Time> {
        self.stopped_by().map(|at| at - self.settings.stop_bound)
    }

    /// Whether this node may serve now.
    pub(super) fn valid(&self, now: Time) -> bool {
        self.serves_until().is_some_and(|until| now < until)
    }

    /// Settled or not, and who owns the group. `None`: unknown.
    pub(super) fn owner(&self, now: Time) -> (bool, Option<Owner>) {
        if self.valid(now) {
            return (true, Some(Owner::Mine));
        }
        let Some(seen) = self.seen else { return (now.since(self.started) >= FRESH, None) };
        if now.since(seen.sent) >= FRESH {
            return (true, None);
        }
        let owner = match seen.lease.and_then(|lease| lease.owner) {
            None => Owner::Nobody,
            Some(node) if node == self.me => Owner::Mine,
            Some(_) if self.expired(now) => Owner::Nobody,
            Some(node) => Owner::Theirs(node),
        };
        (true, Some(owner))
    }

    /// Who held it last, also when it has expired.
    pub(super) fn last_owner(&self) -> Option<NodeId> {
        self.seen.and_then(|seen| seen.lease).and_then(|lease| lease.owner).filter(|node| *node != self.me)
    }

    /// Whether the present lease was seen for a whole lease: its holder has stood down.
    pub(super) fn expired(&self, now: Time) -> bool {
        self.expires_at().is_some_and(|at| now >= at)
    }

    /// When another's lease will have expired, if it is not renewed.
    pub(in super::super) fn expires_at(&self) -> Option<Time> {
        let seen = self.seen?;
        let lease = seen.lease.filter(|lease| lease.owner.is_some_and(|node| node != self.me))?;
        Some(seen.first + lease.length)
    }

    /// Whether a read that was sent so lately was answered, or the lease is ours.
    pub(super) fn fresh(&self, limit: Duration, now: Time) -> bool {
        self.valid(now) || self.seen.is_some_and(|seen| now.since(seen.sent) < limit)
    }

    /// Whether it names this node.
    pub(super) fn names_us(&self) -> bool {
        self.seen.and_then(|seen| seen.lease).and_then(|lease| lease.owner) == Some(self.me)
    }

    /// The highest term that was seen.
    pub(super) fn term(&self) -> u64 {
        self.seen.and_then(|seen| seen.lease).map_or(0, |lease| lease.term)
    }

    /// What was offered as stopped may be taken by a write that is under way: it has to be renewed before it counts.
    pub(super) fn forfeit(&mut self) {
        self.renewed = None;
    }

    /// Whether what stands in the table was seen before this moment.
    pub(super) fn seen_before(&self, at: Time) -> bool {
        self.seen.is_some_and(|seen| seen.first <= at)
    }

    /// Ask at once.
    pub(in super::super) fn ask_now(&mut self) {
        self.read_wanted = true;
    }

    /// Begins a write, unless one is under way.
    pub(super) fn begin(&mut self, purpose: Purpose, term: u64, now: Time) {
        if self.write.is_some() {
            return;
        }
        let owner = (purpose != Purpose::GiveBack).then_some(self.me);
        let lease = Lease { owner, nonce: self.nonces.next(), term, length: self.settings.length };
        self.write = Some(Write {
            purpose,
            lease,
            expect: self.seen.and_then(|seen| seen.lease).map(|lease| lease.nonce),
            first: now,
            calls: Vec::new(),
            attempts: 0,
            open: false,
            next: now,
        });
        if purpose == Purpose::GiveBack {
            self.renewed = None;
        }
    }

    /// Whether the lease is to be renewed now.
    pub(super) fn renewal_due(&self, now: Time) -> bool {
        self.write.is_none() && self.renewed.is_some_and(|at| now >= at + self.renew_every())
    }

    /// The attempt that is to be sent now, with this number.
    pub(super) fn attempt_due(&mut self, call: u64, now: Time) -> Option<(Option<u64>, Lease)> {
        let attempt = self.attempt();
        let write = self.write.as_mut().filter(|write| now >= write.next)?;
        if write.attempts == 0 {
            // It may have waited since it was wanted, and nothing has been sent.
            write.first = now;
        }
        write.attempts += 1;
        write.open |= !write.calls.is_empty();
        write.calls.push(call);
        write.next = now + attempt;
        Some((write.expect, write.lease))
    }

    /// A write was answered.
    pub(super) fn written(
        &mut self,
        call: u64,
        answer: Result<(), Failure>,
        random: &mut Random,
        now: Time,
    ) -> Option<Settled> {
        let write = self.write.as_mut()?;
        let at = write.calls.iter().position(|number| *number == call)?;
        write.calls.swap_remove(at);
        match answer {
            Ok(()) => {
                self.failures = 0;
                return Some(self.landed(now));
            }
            // Our own earlier attempt may be what stands there.
            Err(Failure::Conflict) if write.attempts > 1 => {
                self.failures = 0;
                write.open = true;
                write.next = now + self.settings.length;
                self.read_wanted = true;
            }
            Err(Failure::Conflict) => {
                self.failures = 0;
                self.read_wanted = true;
                return self.lost();
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                write.open |= failure == Failure::NoAnswer;
                let wait = match failure {
                    Failure::Refused => 1000,
                    Failure::Passing | Failure::Conflict => 100 << self.failures.min(4),
                    Failure::NoAnswer => 50,
                };
                let wait = random.wait(wait);
                if write.calls.is_empty() {
                    write.next = now + wait.min(self.settings.length / 10);
                    if !write.open {
                        // None of it was carried out: the next attempt is a first one.
                        write.attempts = 0;
                    }
                }
            }
        }
        None
    }

    fn landed(&mut self, now: Time) -> Settled {
        let Some(write) = self.write.take() else { return Settled::Lost(Purpose::Renew) };
        // A read that is under way may have been answered before this landed: it is no news.
        self.seen = Some(Seen { lease: Some(write.lease), first: now, sent: now });
        self.renewed = (write.purpose != Purpose::GiveBack).then_some(write.first);
        Settled::Landed(write.purpose)
    }

    fn lost(&mut self) -> Option<Settled> {
        let write = self.write.take()?;
        if write.purpose == Purpose::Renew {
            self.renewed = None;
        }
        Some(Settled::Lost(write.purpose))
    }

    /// How closely the table is read: the holder's peers need to see each renewal soon.
    fn read_every(&self, closely: bool, owns: bool) -> Duration {
        let second = Duration::from_secs(1).min(self.settings.length / 10);
        if owns && self.failures == 0 {
            self.settings.length
        } else if self.failures > 0 {
            second * (1 << self.failures.min(3))
        } else if closely || self.seen.is_none() || self.write.as_ref().is_some_and(|write| write.open) {
            second
        } else {
            second * 2
        }
    }

    fn next_read(&self, closely: bool, now: Time) -> Time {
        self.read_at.map_or(now, |sent| sent + self.read_every(closely, self.valid(now)))
    }

    /// Whether a read is to be sent now; then it counts as sent, with this number.
    pub(super) fn read_due(&mut self, closely: bool, call: u64, now: Time) -> bool {
        self.reads.retain(|(_, sent)| now.since(*sent) < FRESH);
        let wanted = (self.read_wanted && self.reads.len() < 2) || now >= self.next_read(closely, now);
        if !wanted || self.reads.len() >= 4 {
            return false;
        }
        self.read_wanted = false;
        self.read_at = Some(now);
        self.reads.push((call, now));
        true
    }

    /// A read was answered.
    pub(super) fn read(
        &mut self,
        call: u64,
        answer: Result<Option<Lease>, Failure>,
        now: Time,
    ) -> Option<Settled> {
        let at = self.reads.iter().position(|(number, _)| *number == call)?;
        let (_, sent) = self.reads.swap_remove(at);
        let Ok(lease) = answer else {
            self.failures = self.failures.saturating_add(1);
            return None;
        };
        self.failures = 0;
        if self.seen.is_some_and(|seen| seen.sent > sent) {
            return None;
        }
        if let Some(write) = self.write.as_ref().filter(|write| write.attempts > 0 && sent >= write.first) {
            if lease.is_some_and(|lease| lease.nonce == write.lease.nonce) {
                return Some(self.landed(now));
            }
            let stands = lease.map(|lease| lease.nonce);
            self.see(lease, sent, now);
            // Every later attempt would fail, too; and one that lands first shows in the next read.
            return if stands == self.write.as_ref().and_then(|write| write.expect) {
                None
            } else {
                self.lost()
            };
        }
        self.see(lease, sent, now);
        if self.renewed.is_some() && !self.names_us() {
            self.renewed = None;
        }
        None
    }

    fn see(&mut self, lease: Option<Lease>, sent: Time, now: Time) {
        let same = self.seen.filter(|seen| seen.lease.map(|it| it.nonce) == lease.map(|it| it.nonce));
        self.seen = Some(Seen { lease, first: same.map_or(now, |seen| seen.first), sent });
    }

    /// A write whose landing would come too late to serve by it is given up. If it lands all the same, a read
    /// shows a lease that names us, and that has to be renewed before it counts.
    pub(super) fn tend(&mut self, now: Time) {
        let useful = (self.settings.length * 4 / 5).saturating_sub(self.settings.stop_bound);
        if self.write.as_ref().is_some_and(|write| write.attempts > 0 && now.since(write.first) >= useful) {
            self.write = None;
            self.read_wanted = true;
        }
    }

    /// Stops a take that has not been sent yet. What is ours already is renewed also by a node that could not take:
    /// its service may be running.
    pub(super) fn withdraw(&mut self) {
        if self.write.as_ref().is_some_and(|it| it.attempts == 0 && matches!(it.purpose, Purpose::Take(_))) {
            self.write = None;
        }
    }

    pub(super) fn deadline(&self, closely: bool, now: Time) -> Option<Time> {
        [
            Some(self.next_read(closely, now)),
            self.write.as_ref().map(|write| write.next),
            self.write.is_none().then(|| self.renewed.map(|at| at + self.renew_every())).flatten(),
            self.serves_until(),
            self.expires_at(),
            self.seen.map(|seen| seen.sent + FRESH),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min()
    }
}

#[cfg(test)]
mod tests;
