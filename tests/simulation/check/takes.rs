//! Takes: who may, from whom, and what they rest on.

use std::time::Duration;

use standin::cluster::{Fencing, GroupId, NodeId, Running, Time, WhenSilent};

use super::WISH_LASTS;
use crate::chance::secs;
use crate::model::ec2::Holder;
use crate::model::service::name;
use crate::world::World;

/// So long the holder must have held, before it counts as known to all: a take may rest on a read that is
/// five seconds old and lagged by five.
const KNOWN: Duration = secs(11);
/// Two takes that are sent within this are a race, not a duel.
const RACE: Duration = secs(5);
/// More takeovers in one run are a duel: six by silence for each node (damping), and so many by the counter, from
/// an idle holder, or by calls that landed late. A duel is also seen at its second take, see [`RACE`].
const BESIDE_SILENCE: u32 = 8;
/// A take rests on a read that was sent less than 30 s before, by a clock that may be 10 % slow, and whose
/// answer took a call's timeout.
const READ_WITHIN: Duration = secs(37);
/// The anchor's loss is known after this: two reads of an active node (10 s), the lag of the second (5 s), and
/// a call's timeout.
const LOSS_KNOWN: Duration = secs(28);

/// What an onlooker says of a take, when it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judgement {
    /// The holder, if it is healthy, heard, active, and offers nothing.
    guarded: Option<NodeId>,
    /// By the taker, or only by another one, or only the probe says so.
    heard_by: &'static str,
    offered: bool,
    /// The holder's instance was stopping or off, or it had said goodbye.
    gone: bool,
    /// The holder was off, or never to be fenced.
    fenced: bool,
    /// The holder's service had stopped.
    stopped: bool,
    sent: Time,
}

impl World {
    /// Whether `to` hears that `from` is active, and offers nothing.
    pub(super) fn hears_active(&self, to: NodeId, from: NodeId, group: GroupId) -> bool {
        let machine = &self.machines[usize::from(from.0)];
        self.net.last(from, to).is_some_and(|last| {
            // Clocks run up to ten per cent wrong.
            let fresh = self.now.since(last.at) < self.checks.dead_after * 9 / 10;
            let bit = 1 << group.0;
            last.life == machine.life
                && fresh
                && last.knows_me
                && last.active & bit != 0
                && last.offers & bit == 0
        })
    }

    /// Whether a node is active, and nothing is wrong with it.
    pub(super) fn healthy(&self, node: NodeId, group: GroupId) -> bool {
        let (machine, at) = (&self.machines[usize::from(node.0)], usize::from(group.0));
        let local = &machine.groups[at];
        machine.runs(self.now)
            && machine.active(at)
            && self.ec2.instances[usize::from(node.0)].now() == Running::Yes
            && local.fit
            && !local.memory.standby
            && !machine.leaving()
            && !self.barred(node, group)
    }

    /// Whether another node hears that `from` is active, and is itself heard by `by`, for long enough for each to
    /// know; and `from` reaches EC2, so that its counter moves.
    fn others_hear(&self, by: NodeId, from: NodeId, group: GroupId) -> bool {
        let third = |it: &NodeId| {
            let hears = *it != by && *it != from && self.hears_active(*it, from, group);
            let fresh = self.net.last(*it, by).is_some_and(|last| {
                let life = self.machines[usize::from(it.0)].life;
                last.life == life && last.knows_me && self.now.since(last.at) < self.checks.dead_after / 2
            });
            hears && fresh && self.machines[usize::from(it.0)].runs(self.now)
        };
        let calm = self.now.since(self.checks.unrest) > secs(40);
        calm && self.ec2.ill.well(from) && (0..self.topology.nodes).map(NodeId).any(|it| third(&it))
    }

    /// Whether there is proof that a node does not serve.
    pub(super) fn gone(&self, node: NodeId, by: NodeId) -> bool {
        let left = self.net.last(node, by).is_some_and(|last| last.goodbye);
        left || self.ec2.instances[usize::from(node.0)].now() != Running::Yes
    }

    /// Whether the probe, where it is to be asked, has been answered for so long that it must hold; and the holder
    /// has not said goodbye.
    fn probe_holds(&self, by: NodeId, from: NodeId, group: GroupId) -> bool {
        let at = usize::from(group.0);
        let asked = self.settings.groups[at].when_silent == WhenSilent::Probe;
        let ok = self.checks.members[at][usize::from(by.0)].probe_ok_since;
        // Two probes in a row may fail by chance, and each takes a second.
        asked && !self.gone(from, by) && ok.is_some_and(|since| self.now.since(since) > secs(10))
    }

    pub(super) fn offers(&self, from: NodeId, to: NodeId, group: GroupId) -> bool {
        let life = self.machines[usize::from(from.0)].life;
        self.net.last(from, to).is_some_and(|last| last.life == life && last.offers & (1 << group.0) != 0)
    }

    /// Looks at a take that is being sent.
    pub(crate) fn judge(&mut self, by: NodeId, group: GroupId) -> Judgement {
        self.check_knows(by, group);
        self.check_may_take(by, group);
        let at = usize::from(group.0);
        let holder = &self.ec2.anchors[at].holder;
        let Holder::Node(node) = holder.now() else {
            return Judgement {
                guarded: None,
                heard_by: "",
                offered: false,
                gone: true,
                fenced: true,
                stopped: true,
                sent: self.now,
            };
        };
        let settings = &self.settings.groups[at];
        let known = self.now.since(holder.since()) >= KNOWN;
        let spared = self.checks.wished_lately(group, self.now) || settings.lease.is_some();
        let heard_by = if self.hears_active(by, node, group) {
            "it"
        } else if self.others_hear(by, node, group) {
            "another one"
        } else if self.probe_holds(by, node, group) {
            "its probe"
        } else {
            ""
        };
        let heard = !heard_by.is_empty();
        let guarded = node != by && heard && self.healthy(node, group) && known && !spared;
        let it = usize::from(node.0);
        // Whoever has chosen to take when fencing fails is not promised this. Nor is a node that took from the stopped
        // one only just now: of three and more nodes, two that do not hear each other can take within a read's age of
        // each other, and EC2 has no call that takes from a named holder only.
        let chosen = settings.take_when_fencing_fails || !known;
        let service = &self.machines[it].groups[at].service;
        Judgement {
            guarded: guarded.then_some(node),
            heard_by,
            offered: self.offers(node, by, group),
            gone: self.gone(node, by),
            fenced: chosen || self.ec2.instances[it].now() == Running::No || !service.running,
            stopped: !service.running,
            sent: self.now,
        }
    }

    /// `blind` (e): who takes was told in this life, at most 37 s ago, who holds the anchor.
    fn check_knows(&mut self, by: NodeId, group: GroupId) {
        let life = self.machine(by).life;
        let knew = self.checks.member(by, group).knew;
        let fresh = knew.is_some_and(|(it, at)| it == life && self.now.since(at) < READ_WITHIN);
        if !fresh && !self.checks.wished_lately(group, self.now) {
            let text = format!("{} takes group {} without knowing who holds it", name(by), group.0);
            self.fail("blind", text);
        }
    }

    /// `unable`: a standby takes only if it could serve, and nobody told it of maintenance.
    fn check_may_take(&mut self, by: NodeId, group: GroupId) {
        let machine = &self.machines[usize::from(by.0)];
        let at = usize::from(group.0);
        let local = &machine.groups[at];
        let told = machine.thawed_at < self.now;
        let unable = !local.able || !local.fit || local.memory.standby;
        let forced = self.checks.wished_lately(group, self.now);
        if unable && told && !machine.active(at) && !forced {
            let text = format!("{} takes group {}, but could not serve", name(by), group.0);
            self.fail("unable", text);
        }
        if self.checks.member(by, group).maintenance && !forced {
            let text = format!("{} takes group {} in maintenance", name(by), group.0);
            self.fail("maintenance", text);
        }
        self.check_lease_take(by, group);
    }

    /// A take has changed the anchor's holder.
    pub(crate) fn taken(&mut self, by: NodeId, group: GroupId, before: Holder, seen: Judgement, late: bool) {
        let Holder::Node(from) = before else { return };
        let at = usize::from(group.0);
        let settings = &self.settings.groups[at];
        if settings.lease.is_some() {
            return;
        }
        if seen.offered || self.checks.wished_lately(group, self.now) {
            self.tally.handed_over += 1;
            // `cold`: the service of a cold group has stopped before its offer is taken up.
            if seen.offered && settings.cold && !seen.stopped && !late && self.healthy(from, group) {
                let text =
                    format!("{} takes the cold group {} before {} has stopped it", name(by), at, name(from));
                self.fail("cold", text);
            }
            return;
        }
        self.check_back_soon(by, group, from, seen.sent);
        let settings = &self.settings.groups[at];
        let before_take = settings.fencing == Fencing::Before;
        let lately = |it: Option<Time>| it.is_some_and(|it| self.now.since(it) < WISH_LASTS);
        // `fence-before`: with fencing before, the old active is off, or its service has stopped, when it loses.
        if before_take && !seen.fenced && !late && !lately(self.checks.groups[at].moved) {
            let text = format!("{} takes group {at}, but {} was not stopped", name(by), name(from));
            self.fail("fence-before", text);
        }
        self.count_takeover(group, seen, late);
        if late {
            self.checks.stir(self.now);
            self.tally.late_takeovers += 1;
        } else if seen.guarded == Some(from) {
            // `guarded` (d): no takeover from a node that is healthy and active, and heard by the taker; or heard by
            // another one that the taker hears, and well in EC2; or whose service answers the taker's probe, where
            // that is to be asked.
            let (by, from, ears) = (name(by), name(from), seen.heard_by);
            let text =
                format!("{by} took group {at} from {from}, which is healthy, active, and heard by {ears}");
            self.fail("guarded", text);
        }
    }

    /// `back-soon`: who was told "back in 10 s" waits so long (by a clock that may be 10 % fast).
    fn check_back_soon(&mut self, by: NodeId, group: GroupId, from: NodeId, sent: Time) {
        let Some(last) = self.net.last(from, by) else { return };
        let it = usize::from(from.0);
        let runs = self.ec2.instances[it].now() == Running::Yes;
        let waited = sent.since(last.at);
        let soon = last.back_in && waited > secs(1) && waited < secs(8);
        let knew = self.checks.member(by, group).knew.is_some();
        if soon && runs && knew && last.knows_me && last.active & (1 << group.0) != 0 {
            let text =
                format!("{} takes group {} from {}, which will be back soon", name(by), group.0, name(from));
            self.fail("back-soon", text);
        }
    }

    /// `duel` (d): at most six takeovers for each node, and eight, in half an hour, those from a node that is gone
    /// not counted. `again` (d): in calm, none after another one while
    /// nothing has happened: at most one takeover while a partition lasts.
    fn count_takeover(&mut self, group: GroupId, seen: Judgement, late: bool) {
        let state = &mut self.checks.groups[usize::from(group.0)];
        state.takeovers += u32::from(!seen.gone);
        let count = state.takeovers;
        let most = 6 * u32::from(self.topology.members) + BESIDE_SILENCE;
        self.tally.takeovers += 1;
        self.tally.takeovers_at_most = self.tally.takeovers_at_most.max(count);
        let calm = !late && !self.net.noisy() && !self.ec2.ill.any();
        let again = state
            .last_takeover
            .replace(self.now)
            .is_some_and(|at| at > self.checks.unrest && seen.sent.since(at) > RACE);
        if calm && again {
            self.fail(
                "again",
                format!("group {} is taken again, though nothing has happened since", group.0),
            );
        }
        if count > most {
            self.fail("duel", format!("{count} takeovers of group {}: a duel", group.0));
        }
    }

    /// Which anchors are with nobody, a bit each.
    pub(crate) fn with_nobody(&self) -> u32 {
        let nobody = |(at, anchor): (usize, &crate::model::ec2::Anchor)| {
            u32::from(anchor.holder.now() == Holder::Nobody) << at
        };
        self.ec2.anchors.iter().enumerate().map(nobody).sum()
    }

    /// `nobody` (g): no call of ours leaves an anchor with nobody, at no instant.
    pub(crate) fn check_nobody(&mut self, by: NodeId, before: u32) {
        if self.with_nobody() & !before != 0 {
            self.fail("nobody", format!("a call of {} left an anchor with nobody", name(by)));
        }
    }

    /// `rest` (g): only a node that has owned the group in the last 28 s touches the rest: by the anchor, and with a
    /// lease by the lease, because then the anchor is only a resource like the rest.
    pub(crate) fn check_rest(&mut self, by: NodeId, group: GroupId) {
        let (at, since) = (usize::from(group.0), self.now - LOSS_KNOWN);
        let owns = if self.settings.groups[at].lease.is_some() {
            self.dynamo.owners[at].any_since(since, |it| it == Some(by))
        } else {
            self.ec2.anchors[at].holder.any_since(since, |it| it == Holder::Node(by))
        };
        if !owns {
            let text = format!("{} touches the rest of group {at}, but does not own it", name(by));
            self.fail("rest", text);
        }
    }

    /// `fence-unwell`: who fences could serve, and has not stood still (for
    /// warn-after, by a clock that may be 10 % fast) in the last 4 s. `fence-guarded` (d): it does not fence a node that is healthy,
    /// active, and heard; nor itself; nor where no fencing is configured.
    pub(crate) fn check_fence(&mut self, by: NodeId, group: GroupId, whom: NodeId) {
        let machine = &self.machines[usize::from(by.0)];
        let local = &machine.groups[usize::from(group.0)];
        let stalled = machine.stalled_for > self.checks.dead_after * 6 / 10
            && self.now.since(machine.thawed_at) < secs(4);
        let unwell = !local.able || !local.fit || local.memory.standby || machine.leaving() || stalled;
        let forced = self.checks.wished_lately(group, self.now);
        if unwell && machine.thawed_at < self.now && !forced {
            self.fail("fence-unwell", format!("{} fences {}, and is itself unwell", name(by), name(whom)));
        }
        let heard = self.hears_active(by, whom, group) && self.healthy(whom, group) && !forced;
        let holder = &self.ec2.anchors[usize::from(group.0)].holder;
        let known = self.now.since(holder.since()) >= KNOWN && holder.now() == Holder::Node(whom);
        let none = self.settings.groups[usize::from(group.0)].fencing == Fencing::None;
        if (heard && known) || by == whom || none {
            let text = format!("{} fences {}, which is healthy, active, and heard", name(by), name(whom));
            self.fail("fence-guarded", text);
        }
    }

    /// Whether a caller at this node's place gets an answer from the group's service.
    pub(crate) fn probe_answers(&self, by: NodeId, group: GroupId) -> bool {
        let at = usize::from(group.0);
        let Holder::Node(holder) = self.ec2.anchors[at].holder.now() else { return false };
        let machine = &self.machines[usize::from(holder.0)];
        machine.up
            && machine.groups[at].service.serves()
            && machine.groups[at].fit
            && self.net.passes(by, holder)
    }
}
