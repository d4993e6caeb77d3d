//! What EC2 says of the instances: whether a quiet holder's runs, and, before this node fences, its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Cluster;
use super::command::Command;
use super::event::{Failure, Running};
use super::group::take::Gate;
use super::node::NodeId;
use super::settings::Fencing;
use super::time::Time;

/// How long every second is asked after a peer has fallen silent.
const CLOSELY: Duration = Duration::from_secs(15);

/// The questions about one instance.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct InstanceReads {
    under_way: Option<(u64, Time)>,
    next: Time,
    closely_until: Time,
}

impl InstanceReads {
    pub(super) const fn next(&self) -> Time {
        self.next
    }

    pub(super) fn ask_now(&mut self) {
        self.next = Time::ZERO;
    }

    pub(super) fn closely(&mut self, now: Time) {
        self.closely_until = now + CLOSELY;
    }

    /// Whether to ask now; then it counts as asked, with this number.
    fn due(&mut self, wanted: bool, closely: bool, overdue: Duration, call: u64, now: Time) -> bool {
        if self.under_way.is_some_and(|(_, sent)| now.since(sent) > overdue) {
            self.under_way = None;
        }
        if !wanted || self.under_way.is_some() || now < self.next {
            return false;
        }
        self.under_way = Some((call, now));
        let every = if closely || now < self.closely_until { 1 } else { 5 };
        self.next = now + Duration::from_secs(every);
        true
    }

    /// The answer to this call: when it was sent, if it is the one that is waited for.
    fn answered(&mut self, call: u64) -> Option<Time> {
        let (_, sent) = self.under_way.filter(|(number, _)| *number == call)?;
        self.under_way = None;
        Some(sent)
    }
}

impl Cluster {
    pub(super) fn instance_read(
        &mut self,
        node: NodeId,
        call: u64,
        answer: Result<Option<Running>, Failure>,
    ) {
        if node == self.settings.me {
            let sent = self.own_reads.answered(call);
            if let (Some(sent), Ok(Some(running))) = (sent, answer) {
                self.own_running = Some((sent, running));
            }
            return;
        }
        let Some(at) = self.peers.iter().position(|peer| peer.id == node) else { return };
        let sent = self.instance_reads[at].answered(call);
        if let (Some(sent), Ok(Some(running))) = (sent, answer) {
            self.peers[at].running = Some((sent, running));
        }
    }

    /// Asks EC2 whether a quiet holder's instance runs, and whether one has stopped that was told to.
    pub(super) fn read_instances(&mut self, now: Time) {
        let overdue = self.settings.call_timeout * 2;
        let mut fencing_near = false;
        for at in 0..self.peers.len() {
            let peer = &self.peers[at];
            // A node that was never heard may have been stopped long before we started.
            let quiet =
                peer.late(now, &self.settings) || peer.silent(now, &self.settings) || peer.heard_at.is_none();
            let id = peer.id;
            let cx = self.context(now);
            let fenced = self.groups.iter().any(|it| it.fences() == Some(id));
            let held = || self.groups.iter().filter(|it| it.holder_to_ask(&cx) == Some(id));
            let holds = quiet && held().next().is_some();
            fencing_near |= fenced || (quiet && held().any(|it| it.settings(&cx).fencing != Fencing::None));
            let lost = self.wants_to_recover(at, now);
            fencing_near |= lost;
            let call = self.out.calls + 1;
            if self.instance_reads[at].due(holds || fenced || lost, fenced, overdue, call, now) {
                self.out.calls = call;
                self.out.commands.push_back(Command::ReadInstance { node: id, call });
            }
        }
        // A holder that is heard and idle (row 13) is fenced, too, and nobody is quiet then.
        fencing_near |= self.groups.iter().any(|it| matches!(it.gate, Some(Gate::Unwell(_))));
        let call = self.out.calls + 1;
        if self.own_reads.due(fencing_near, false, overdue, call, now) {
            self.out.calls = call;
            self.out.commands.push_back(Command::ReadInstance { node: self.settings.me, call });
        }
    }
}

#[cfg(test)]
mod tests;
