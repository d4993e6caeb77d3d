//! A dead peer is rebooted, or stopped and started on another host: so many times at most, and never before it had
//! time to boot (Dataprobe's iBoot, "Power Cycle, Times N").
//!
//! Silence may be a cut and the peer be well, so only the node that owns a group of the peer's acts, and only while
//! the peer owns none that this node knows of: of two nodes that do not hear each other at most one can reboot the
//! other. An instance that somebody else has stopped stays as it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::anchor::Owner;
use super::command::{Command, Remedy};
use super::event::{Failure, Running};
use super::group::{Context, unwell};
use super::heartbeat::Role;
use super::node::{GroupId, NodeId};
use super::notice::Level;
use super::peer::{Peer, PeerState};
use super::settings::{FRESH, RecoverySettings, SETTLE, WhenLost};
use super::snapshot::RecoveryState;
use super::time::Time;
use super::{Cluster, Group};

/// A call that was not carried out is made again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// What was done about one peer's silence.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Recovery {
    /// Begun, since it was last heard for so long as a boot takes.
    pub(super) attempts: u32,
    /// When it last had reason to boot.
    last: Option<Time>,
    under_way: Option<(u64, Time, Remedy)>,
    /// No call before that.
    not_before: Option<Time>,
    /// EC2 has taken our order to stop it, then: fencing, or the first half of a restart.
    stopped: Option<Time>,
    /// The second half of a restart is still to come.
    starts: bool,
    heard_since: Option<Time>,
    gave_up: bool,
}

impl Recovery {
    /// When it may be tried again: when the peer had time to boot, from its loss, from the last attempt, and from any
    /// datagram of a process that we do not know yet (a replayed one costs no more than this delay).
    fn due(&self, peer: &Peer, of: RecoverySettings, dead_after: Duration) -> Time {
        let lost = peer.silent_at(dead_after);
        let signs = [self.last, peer.met_at].into_iter().flatten();
        let from = signs.fold(lost, Time::max);
        self.not_before.map_or(from + of.boot_time, |at| at.max(from + of.boot_time))
    }

    /// What the agent that ran here before has begun.
    pub(super) fn begun(now: Time) -> Self {
        Self { stopped: Some(now), starts: true, ..Self::default() }
    }

    /// This agent did not run for a while: who was well before it has to be heard for long enough anew.
    pub(super) const fn stalled(&mut self) {
        self.heard_since = None;
    }

    /// How far it is, for operators; `None`: there is nothing to say.
    pub(super) fn state(&self, peer: &Peer, cx: &Context<'_>) -> Option<(RecoveryState, Option<Duration>)> {
        let of = cx.settings.recovery?;
        let due = self.due(peer, of, cx.settings.dead_after);
        let next = Some(due.since(cx.now)).filter(|_| self.attempts < of.attempts);
        let state = match peer.state(cx.now, cx.settings) {
            PeerState::Lost if self.gave_up => RecoveryState::GaveUp,
            PeerState::Lost if self.starts => RecoveryState::Stopping,
            PeerState::Lost if self.under_way.is_some() => RecoveryState::Asked,
            PeerState::Lost if self.attempts > 0 => RecoveryState::Booting,
            PeerState::Lost => RecoveryState::Waiting,
            PeerState::Online | PeerState::Late if self.attempts > 0 => {
                return Some((RecoveryState::Heard, None));
            }
            PeerState::Online
            | PeerState::Late
            | PeerState::NeverSeen
            | PeerState::KeyMismatch
            | PeerState::Restarting
            | PeerState::Left => return None,
        };
        Some((state, next.filter(|_| state != RecoveryState::Stopping)))
    }
}

impl Cluster {
    /// Looks after each peer.
    pub(super) fn tend_recovery(&mut self, now: Time) {
        let Some(of) = self.settings.recovery else { return };
        for at in 0..self.peers.len() {
            if self.peers[at].heard(now, &self.settings) {
                self.note_heard(at, of, now);
            } else {
                self.peers[at].recovery.heard_since = None;
                self.recover(at, of, now);
            }
        }
    }

    /// Once it was heard for as long as it takes to boot, it counts as well, and everything is as before.
    fn note_heard(&mut self, at: usize, of: RecoverySettings, now: Time) {
        let peer = &mut self.peers[at];
        let it = &mut peer.recovery;
        let since = *it.heard_since.get_or_insert(now);
        // What was asked for may still happen: a stop that EC2 has accepted stays in mind.
        it.under_way = None;
        if now.since(since) < of.boot_time {
            return;
        }
        let (attempts, node) = (it.attempts, peer.id.0);
        *it = Recovery { heard_since: Some(since), ..Recovery::default() };
        self.remember(at, false);
        if attempts > 0 {
            let text = format!("{{node {node}}} is well again, after {attempts} attempts");
            self.tell(Level::Info, "recovered", text, now);
        }
    }

    /// Whether EC2's word on this peer, and on ourselves, will soon be wanted.
    pub(super) fn wants_to_recover(&self, at: usize, now: Time) -> bool {
        let (Some(of), Some(peer)) = (self.settings.recovery, self.peers.get(at)) else { return false };
        let it = &peer.recovery;
        let soon = now + FRESH >= it.due(peer, of, self.settings.dead_after) && it.attempts < of.attempts;
        it.starts || (soon && self.is_ours_to_recover(peer, now))
    }

    fn recover(&mut self, at: usize, of: RecoverySettings, now: Time) {
        let overdue = self.settings.call_timeout * 2;
        let peer = &mut self.peers[at];
        let (asked, running) = (peer.asked_running(), peer.running(now));
        let it = &mut peer.recovery;
        it.under_way = it.under_way.filter(|(_, sent, _)| now.since(*sent) < overdue);
        if running == Some(Running::Yes) && it.stopped.is_some_and(|at| asked > at + SETTLE) {
            // Somebody has started it, or the stop came to nothing.
            (it.stopped, it.starts) = (None, false);
            self.remember(at, false);
        }
        let peer = &self.peers[at];
        let it = peer.recovery;
        if it.under_way.is_some() {
            return;
        }
        // Whoever has stopped it starts it, whatever has become of the groups meanwhile.
        if it.starts && running == Some(Running::No) && !peer.left && !self.in_maintenance_with(peer.id) {
            if it.not_before.is_none_or(|at| now >= at) && unwell(&self.context(now)).is_none() {
                self.order(at, Remedy::Start, now);
            }
            return;
        }
        if !self.is_ours_to_recover(peer, now) || now < it.due(peer, of, self.settings.dead_after) {
            return;
        }
        if it.attempts >= of.attempts {
            return self.give_up(at, now);
        }
        let remedy = match (running, of.when_lost) {
            (Some(Running::Yes), WhenLost::Reboot) => Remedy::Reboot,
            (Some(Running::Yes), WhenLost::Restart) => Remedy::Stop,
            (Some(Running::No), _) if it.stopped.is_some() => Remedy::Start,
            (Some(Running::No | Running::Ending) | None, _) => return,
        };
        if unwell(&self.context(now)).is_none() {
            let peer = &mut self.peers[at];
            peer.recovery.attempts += 1;
            peer.recovery.last = Some(now);
            let (node, n, most) = (peer.id.0, peer.recovery.attempts, of.attempts);
            let what = remedy.words();
            let text = format!(
                "{{node {node}}} is lost: EC2 is asked to {what} its instance, attempt {n} of {most}"
            );
            self.tell(Level::Warn, "recovering", text, now);
            self.order(at, remedy, now);
        }
    }

    /// Whether a group that the peer is in is in maintenance.
    fn in_maintenance_with(&self, peer: NodeId) -> bool {
        let groups = self.groups.iter().zip(&self.settings.groups);
        groups.filter(|(_, it)| it.nodes.contains(&peer)).any(|(group, _)| group.memory.maintenance.on)
    }

    fn order(&mut self, at: usize, remedy: Remedy, now: Time) {
        if remedy == Remedy::Stop {
            self.remember(at, true);
        }
        let call = self.out.call();
        let peer = &mut self.peers[at];
        peer.recovery.under_way = Some((call, now, remedy));
        self.out.commands.push_back(Command::Recover { node: peer.id, remedy, call });
    }

    /// A restart that has begun is on disk until its second half is done: whoever stops an instance starts it, also
    /// after a restart of the agent. With the first group that the two have in common.
    fn remember(&mut self, at: usize, on: bool) {
        let (node, me) = (self.peers[at].id, self.settings.me);
        let shared = |nodes: &[NodeId]| nodes.contains(&node) && nodes.contains(&me);
        let mut groups = self.groups.iter_mut().zip(&self.settings.groups);
        let Some((group, _)) = groups.find(|(_, settings)| shared(&settings.nodes)) else { return };
        let list = &mut group.memory.restarting;
        if list.contains(&node) != on {
            list.retain(|it| *it != node);
            list.extend(on.then_some(node));
            group.store(&mut self.out);
        }
    }

    fn give_up(&mut self, at: usize, now: Time) {
        let peer = &mut self.peers[at];
        if !std::mem::replace(&mut peer.recovery.gave_up, true) {
            let (node, attempts) = (peer.id.0, peer.recovery.attempts);
            let text =
                format!("{{node {node}}} is not heard after {attempts} attempts to recover it: look at it");
            self.tell(Level::Alarm, "recovery-failed", text, now);
        }
    }

    /// A call was answered.
    pub(super) fn recovery_answered(
        &mut self,
        node: NodeId,
        call: u64,
        answer: Result<(), Failure>,
        now: Time,
    ) {
        let Some(at) = self.peers.iter().position(|peer| peer.id == node) else { return };
        let it = &mut self.peers[at].recovery;
        let Some((_, _, remedy)) = it.under_way.filter(|(number, ..)| *number == call) else { return };
        it.under_way = None;
        match (answer, remedy) {
            (Ok(()), Remedy::Reboot) => {}
            (Ok(()), Remedy::Stop) => (it.stopped, it.starts) = (Some(now), true),
            (Ok(()), Remedy::Start) => {
                (it.stopped, it.starts) = (None, false);
                it.last = Some(now);
                self.remember(at, false);
            }
            // It was not carried out: the attempt was none.
            (Err(Failure::Passing | Failure::Conflict), _) => {
                it.not_before = Some(now + AGAIN);
                if !it.starts {
                    it.attempts = it.attempts.saturating_sub(1);
                    it.last = None;
                }
            }
            // It may have been carried out: what EC2 then says of the instance tells.
            (Err(Failure::NoAnswer), Remedy::Stop) => (it.stopped, it.starts) = (Some(now), true),
            (Err(Failure::NoAnswer), Remedy::Reboot | Remedy::Start) => it.not_before = Some(now + AGAIN),
            (Err(Failure::Refused), _) => {
                it.starts = false;
                let what = remedy.words();
                let text = format!(
                    "EC2 refuses to {what} the instance of {{node {}}}; the log names the reason",
                    node.0
                );
                self.tell(Level::Alarm, "recovery-refused", text, now);
            }
        }
    }

    /// EC2 has taken our order to stop it: who was fenced by us may be started by us.
    pub(super) fn note_fenced(&mut self, node: NodeId, now: Time) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == node) {
            peer.recovery.stopped = Some(now);
        }
    }

    /// An operator has looked after a group: its nodes are tried anew.
    pub(super) fn forget_attempts(&mut self, group: GroupId) {
        let Some(settings) = self.settings.groups.get(usize::from(group.0)) else { return };
        for peer in self.peers.iter_mut().filter(|peer| settings.nodes.contains(&peer.id)) {
            let it = &mut peer.recovery;
            (it.attempts, it.gave_up) = (0, false);
        }
    }

    /// Whether this node is the one that acts: it is not leaving, the peer is lost (heard since our start, no
    /// goodbye, no announced restart), nobody that is heard hears it, no group of its own is in maintenance or may
    /// still be served by it, and of those whose owner we know, the first is ours.
    pub(super) fn is_ours_to_recover(&self, peer: &Peer, now: Time) -> bool {
        let heard = || self.peers.iter().filter(|it| it.id != peer.id && it.heard(now, &self.settings));
        let lost = peer.state(now, &self.settings) == PeerState::Lost;
        if self.leaving.is_some() || !lost || heard().any(|it| it.hears.contains(peer.id)) {
            return false;
        }
        // Of three and more nodes a minority may be what is cut off.
        let nodes = usize::from(self.settings.nodes);
        if nodes > 2 && (heard().count() + 1) * 2 <= nodes {
            return false;
        }
        let mut ours = false;
        for (group, settings) in self.groups.iter().zip(&self.settings.groups) {
            if !settings.nodes.contains(&peer.id) {
                continue;
            }
            let elsewhere = heard().any(|it| it.says_active(group.id));
            let stance = if settings.nodes.contains(&self.settings.me) {
                stance(group, peer.id, now)
            } else if peer.says_active(group.id) && !elsewhere {
                Stance::ItsOwn
            } else {
                Stance::NotOurs
            };
            match stance {
                Stance::Ours => ours = true,
                // Whoever serves the first group of the peer's acts.
                Stance::NotOurs if elsewhere && !ours => return false,
                Stance::NotOurs => {}
                Stance::ItsOwn => return false,
            }
        }
        ours
    }
}

/// A group of the peer's, as this node sees it.
enum Stance {
    /// This node is active, and EC2 or the lease says so too.
    Ours,
    /// The peer is not its owner, nor is this node.
    NotOurs,
    /// The peer may be serving it, or nothing is to be done at all.
    ItsOwn,
}

fn stance(group: &Group, peer: NodeId, now: Time) -> Stance {
    let (settled, owner) = group.owner(now);
    match owner {
        _ if !settled || group.memory.maintenance.on => Stance::ItsOwn,
        Some(Owner::Mine) if group.role == Role::Active => Stance::Ours,
        Some(Owner::Theirs(node)) if node != peer => Stance::NotOurs,
        Some(Owner::Nobody | Owner::Orphaned | Owner::Stranger) => Stance::NotOurs,
        Some(Owner::Mine | Owner::Theirs(_)) | None => Stance::ItsOwn,
    }
}
