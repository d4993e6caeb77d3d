//! The table in DynamoDB of the [`World`].

use super::*;

/// A write on its way.
#[derive(Clone, Copy)]
pub(super) struct Write {
    pub(super) node: u8,
    pub(super) group: GroupId,
    pub(super) call: u64,
    pub(super) expect: Option<u64>,
    pub(super) lease: Lease,
}

impl World {
    /// A write is sent: it lands now or late, whether its sender lives or not.
    pub(super) fn write_sent(&mut self, write: Write) {
        if self.table_delay.is_zero() {
            return self.write_lands(write, true);
        }
        self.writes.push((self.now + self.table_delay, write));
        let timeout = self.settings.call_timeout;
        if self.table_delay >= timeout {
            let (group, call) = (write.group, write.call);
            let event = Event::LeaseWritten { group, call, answer: Err(Failure::NoAnswer) };
            self.queue.push((self.now + timeout, write.node, event));
        }
    }

    pub(super) fn next_write(&self) -> Option<Time> {
        self.writes.iter().map(|(at, _)| *at).min()
    }

    pub(super) fn writes_due(&mut self) {
        while let Some(at) = self.writes.iter().position(|(at, _)| *at <= self.now) {
            let (_, write) = self.writes.remove(at);
            self.write_lands(write, self.table_delay < self.settings.call_timeout);
        }
    }

    fn write_lands(&mut self, write: Write, answered: bool) {
        let stands = self.table.map(|lease| lease.nonce) == write.expect;
        let carried_out = !matches!(self.table_fails, Some(Failure::Passing | Failure::Refused));
        if stands && carried_out {
            self.table = Some(write.lease);
        }
        let answer = if stands { Ok(()) } else { Err(Failure::Conflict) };
        let answer = self.table_fails.map_or(answer, Err);
        if answered {
            let (group, call) = (write.group, write.call);
            self.table_later(write.node, Event::LeaseWritten { group, call, answer });
        }
    }

    pub(super) fn table_later(&mut self, node: u8, event: Event) {
        let unanswered = self.table_fails == Some(Failure::NoAnswer);
        self.later(if unanswered { 3000 } else { 5 }, node, event);
    }
}
