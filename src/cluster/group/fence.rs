//! Fencing: seeing to it by EC2 that the old active does not run, before or while the group is taken from it.
//!
//! Only `stopped` and `terminated`, as EC2 says them, confirm it. What failed is tried a bounded number of times;
//! what then happens the configuration says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::anchor::Owner;
use super::super::command::Command;
use super::super::decision::Row;
use super::super::event::{Failure, Running};
use super::super::heartbeat::Role;
use super::super::node::NodeId;
use super::super::notice::Level;
use super::super::peer::Peer;
use super::super::settings::{FRESH, Fencing};
use super::super::snapshot;
use super::super::time::Time;
use super::take::Gate;
use super::{Context, Group, Outbox};

/// So many calls make a round.
const ATTEMPTS: u32 = 3;
/// A stop that was accepted has to be confirmed within this (EC2 documents no bound; a forced stop takes seconds
/// to minutes).
const CONFIRM: Duration = Duration::from_secs(180);
/// After a round that failed the next one comes so much later: what refuses may have been mended by an operator.
const ROUND_EVERY: Duration = Duration::from_secs(60);
/// In a draw each node waits so much longer than the one before it in order of preference, so that two nodes do
/// not stop each other.
const DRAW: Duration = Duration::from_secs(2);

/// The stop of one node's instance.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Fence {
    node: NodeId,
    under_way: Option<(u64, Time)>,
    attempts: u32,
    next: Time,
    accepted: Option<Time>,
    /// The round has failed, then.
    failed: Option<Time>,
}

impl Fence {
    const fn new(node: NodeId, now: Time) -> Self {
        Self { node, under_way: None, attempts: 0, next: now, accepted: None, failed: None }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match (self.failed, self.accepted) {
            (Some(at), _) => Some(at + ROUND_EVERY),
            (None, Some(at)) => Some(at + CONFIRM),
            (None, None) => Some(self.next),
        }
    }
}

impl Group {
    /// Whose instance is being stopped.
    pub(in super::super) fn fences(&self) -> Option<NodeId> {
        self.fence.map(|fence| fence.node)
    }

    /// The same, with how far that is.
    pub(in super::super) fn fencing(&self) -> Option<(NodeId, snapshot::Fencing)> {
        let fence = self.fence?;
        let how = match (fence.failed, fence.accepted) {
            (Some(_), _) => snapshot::Fencing::Failed,
            (None, Some(_)) => snapshot::Fencing::Accepted,
            (None, None) => snapshot::Fencing::Asked,
        };
        Some((fence.node, how))
    }

    /// Whom fencing has to stop before this take: the holder, unless it offered the group or is known to be stopped
    /// or terminated ("stopping" is not enough).
    fn to_fence(&self, row: Row, cx: &Context<'_>) -> Option<NodeId> {
        if self.settings(cx).fencing == Fencing::None || row == Row::Offered {
            return None;
        }
        let holder = self.holder_to_ask(cx)?;
        let peer = cx.peers.iter().find(|peer| peer.id == holder)?;
        (peer.running(cx.now) != Some(Running::No)).then_some(holder)
    }

    /// A stop that is not wanted any more is forgotten: of who offers, is heard again while nothing is to be taken
    /// from it, or holds the group no longer. Else it would go on as soon as this node is active, or count for a
    /// later silence.
    pub(super) fn forget_fence(&mut self, row: Row, cx: &Context<'_>) {
        let Some(fence) = self.fence.filter(|_| self.role == Role::Standby) else { return };
        let heard = cx.peers.iter().any(|peer| peer.id == fence.node && peer.heard(cx.now, cx.settings));
        let owner = self.owner(cx.now).1;
        // A read may show what our own call has done before that call is answered, or when its answer is lost.
        let taken = self.take.under_way.is_some() || self.knowledge.call_open(cx.now);
        let elsewhere = owner.is_some()
            && self.holder_to_ask(cx) != Some(fence.node)
            && !(taken && owner == Some(Owner::Mine));
        if row == Row::Offered || elsewhere || (heard && !row.is_take()) {
            self.fence = None;
        }
    }

    /// What fencing holds a take back with; `None`: nothing.
    pub(super) fn fence_gate(
        &mut self,
        row: Row,
        wanted_since: Time,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) -> Option<Gate> {
        let node = self.to_fence(row, cx)?;
        let heard = cx.peers.iter().find(|peer| peer.id == node && peer.heard(cx.now, cx.settings));
        if let Some(peer) = heard.filter(|_| self.lease.is_some()) {
            // Without its lease it has stood down, and its guard has seen to that; if it serves, it has renewed, and
            // the next read will show it.
            self.fence = None;
            return peer.says_active(self.id).then_some(Gate::Step(cx.now + cx.settings.interval));
        }
        if let Some(why) = unwell(cx) {
            return Some(Gate::Unwell(why));
        }
        let draw = matches!(row, Row::Silent | Row::CounterAtRest | Row::Free);
        let before = self.settings(cx).nodes.iter().position(|it| *it == cx.settings.me).unwrap_or(0);
        let at = wanted_since + DRAW * u32::try_from(before).unwrap_or(0);
        if draw && cx.now < at {
            return Some(Gate::Step(at));
        }
        if self.fence.is_none_or(|fence| fence.node != node) {
            self.fence = Some(Fence::new(node, cx.now));
            let text = format!("EC2 is asked to stop the instance of {{node {}}}", node.0);
            self.tell(Level::Warn, "fencing", text, cx, out);
        }
        self.tend_fence(cx, out);
        let settings = self.settings(cx);
        let failed = self.fence.is_some_and(|fence| fence.failed.is_some());
        match settings.fencing {
            Fencing::None => None,
            _ if failed && settings.take_when_fencing_fails => None,
            Fencing::Before | Fencing::Alongside if failed => Some(Gate::FencingFailed(node)),
            Fencing::Before => Some(Gate::Fencing(node)),
            // The call is on its way, and the take follows it at once.
            Fencing::Alongside => None,
        }
    }

    /// Sends, repeats, and gives up.
    pub(super) fn tend_fence(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let Some(mut fence) = self.fence else { return };
        let peer = cx.peers.iter().find(|peer| peer.id == fence.node);
        if peer.is_none_or(|peer| peer.running(cx.now) == Some(Running::No)) {
            let text = format!("{{node {}}} is fenced: EC2 says that its instance has stopped", fence.node.0);
            self.tell(Level::Info, "fenced", text, cx, out);
            self.fence = None;
            return;
        }
        // It stood down and says so: there is nothing left to protect against. (A holder that is heard and idle, row
        // 13, may have a service that still runs: nothing was taken from it yet.)
        let stood_down = |peer: &Peer| peer.heard(cx.now, cx.settings) && !peer.says_active(self.id);
        if self.role == Role::Active && peer.is_some_and(stood_down) {
            self.fence = None;
            return;
        }
        let overdue = cx.settings.call_timeout * 2;
        fence.under_way = fence.under_way.filter(|(_, sent)| cx.now.since(*sent) < overdue);
        if fence.failed.is_some_and(|at| cx.now.since(at) >= ROUND_EVERY) {
            fence = Fence::new(fence.node, cx.now);
        }
        if fence.accepted.is_some_and(|at| cx.now.since(at) >= CONFIRM) && fence.failed.is_none() {
            self.fencing_failed(&mut fence, "its instance has not stopped", cx, out);
        }
        let idle = fence.failed.is_none() && fence.accepted.is_none() && fence.under_way.is_none();
        if idle && cx.now >= fence.next && unwell(cx).is_none() {
            if fence.attempts >= ATTEMPTS {
                self.fencing_failed(&mut fence, "EC2 did not take the call", cx, out);
            } else {
                fence.attempts += 1;
                let call = out.call();
                fence.under_way = Some((call, cx.now));
                out.commands.push_back(Command::Fence { group: self.id, node: fence.node, call });
            }
        }
        self.fence = Some(fence);
    }

    /// A call was answered.
    pub(in super::super) fn fence_answered(
        &mut self,
        call: u64,
        answer: Result<(), Failure>,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        let Some(mut fence) = self.fence.filter(|it| it.under_way.is_some_and(|(number, _)| number == call))
        else {
            return;
        };
        fence.under_way = None;
        match answer {
            Ok(()) => fence.accepted = Some(cx.now),
            Err(Failure::Refused) => {
                self.fencing_failed(&mut fence, "EC2 refuses to stop it; the log names the reason", cx, out);
            }
            Err(Failure::Passing | Failure::NoAnswer | Failure::Conflict) => {
                fence.next = cx.now + out.random.wait(500 << fence.attempts);
            }
        }
        self.fence = Some(fence);
    }

    fn fencing_failed(&self, fence: &mut Fence, why: &str, cx: &Context<'_>, out: &mut Outbox) {
        fence.failed = Some(cx.now);
        let node = fence.node.0;
        let what = if self.settings(cx).take_when_fencing_fails {
            "when-fencing-fails is \"take\": the group is taken all the same, and the old active may still run"
        } else {
            "the group is not taken; stop the instance by hand, or force the takeover when it is known to be down"
        };
        let text = format!("fencing of {{node {node}}} has failed: {why}; {what}");
        self.tell(Level::Alarm, "fencing-failed", text, cx, out);
    }
}

/// A node that is itself unwell never fences: it may be the one that has fallen out of the world.
pub(in super::super) fn unwell(cx: &Context<'_>) -> Option<String> {
    if cx.just_stalled() {
        return Some("it has just not run for a while".into());
    }
    match cx.own_running.filter(|(sent, _)| cx.now.since(*sent) < FRESH) {
        Some((_, Running::Yes)) => None,
        Some((_, Running::Ending | Running::No)) => Some("EC2 says that its own instance is stopping".into()),
        None => Some("EC2 has not said lately that its own instance is running".into()),
    }
}

#[cfg(test)]
mod tests;
