//! The checkers. They stand outside: they look at EC2's truth, at what the network delivered, and at
//! what each node says it is.

use std::time::Duration;

use standin::cluster::{Desired, GroupId, NodeId, PeerState, Role, Row, Settings, Time};

use super::chance::secs;
use super::ec2::Holder;
use super::plant::Plant;
use super::world::{Topology, World};

/// After everything is healed, and no call can land any more, it has to converge within this.
pub(crate) const CONVERGE: Duration = secs(60);
/// And stay so for this long.
pub(crate) const STAY: Duration = secs(120);
/// Two active nodes that both read EC2, at most for so long.
const TWO_ACTIVES: Duration = secs(20);
/// A group that could be served waits at most so long. (The design's model: 123 to 430 s in 3 of 12,000.)
const WAITS: Duration = secs(600);
/// A wait of this length is counted.
const LONG_WAIT: Duration = secs(120);
/// A role follows the anchor within this: the lag of reads, a call's timeout, a stall.
const ROLE_LAG: Duration = secs(10);
/// So long the holder must have held, before it counts as known to all: a take may rest on a read that is
/// five seconds old and lagged by five.
const KNOWN: Duration = secs(11);
/// Two takes that are sent within this are a race, not a duel.
const RACE: Duration = secs(5);
/// More takeovers in one run are a duel: six by silence for each of two nodes (damping), a few by proof, by
/// the counter, or by calls that landed late. A duel is also seen at its second take, see [`RACE`].
const TAKEOVERS: u32 = 18;
/// After a wish a move is no takeover.
const WISH_LASTS: Duration = secs(60);
/// More calls of one node in one minute cost EC2's patience, per group.
const CALLS_PER_MINUTE: u32 = 400;

/// What an onlooker says of a take, when it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judgement {
    /// The holder, if it is healthy, heard by the taker, active, and offers nothing.
    guarded: Option<NodeId>,
    offered: bool,
    sent: Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct OfGroup {
    wished: Option<Time>,
    takeovers: u32,
    last_takeover: Option<Time>,
    two_since: Option<Time>,
    unserved_since: Option<Time>,
    waited: Duration,
    converged_since: Option<Time>,
    reported: bool,
}

pub(crate) struct Checks {
    pub(crate) violation: Option<String>,
    groups: Vec<OfGroup>,
    /// Per group and node: since when it could serve.
    could_since: Vec<Vec<Option<Time>>>,
    calls: Vec<(Time, u32)>,
    dead_after: Duration,
    hold: bool,
    /// When something last changed that is no node's decision.
    unrest: Time,
    releases: Vec<bool>,
    looks: u64,
}

impl Checks {
    pub(crate) fn new(topology: Topology, settings: &Settings) -> Self {
        let groups = usize::from(topology.groups);
        let nodes = usize::from(topology.nodes);
        Self {
            violation: None,
            groups: vec![OfGroup::default(); groups],
            could_since: vec![vec![None; nodes]; groups],
            calls: vec![(Time::ZERO, 0); nodes],
            dead_after: settings.dead_after,
            unrest: Time::ZERO,
            hold: settings.groups[0].when_silent == standin::cluster::WhenSilent::Hold,
            releases: settings.groups.iter().map(|group| group.release_when_isolated).collect(),
            looks: 0,
        }
    }

    pub(crate) fn fail(&mut self, text: String) {
        self.violation.get_or_insert(text);
    }

    /// Something began, ended, or came late.
    pub(crate) fn stir(&mut self, now: Time) {
        self.unrest = now;
    }

    pub(crate) fn wished(&mut self, group: GroupId, now: Time) {
        self.groups[usize::from(group.0)].wished = Some(now);
    }

    pub(crate) fn count_call(&mut self, by: NodeId, now: Time) {
        let (since, count) = &mut self.calls[usize::from(by.0)];
        if now.since(*since) >= secs(60) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count > CALLS_PER_MINUTE * self.groups.len() as u32 {
            let text = format!("node {} makes more than {CALLS_PER_MINUTE} EC2 calls a minute", by.0);
            self.fail(text);
        }
    }
}

impl World {
    /// Looks at a take that is being sent.
    pub(crate) fn judge(&self, by: NodeId, group: GroupId) -> Judgement {
        let holder = &self.ec2.anchors[usize::from(group.0)].holder;
        let Holder::Node(node) = holder.now() else {
            return Judgement { guarded: None, offered: false, sent: self.now };
        };
        let bit = 1 << group.0;
        let machine = &self.machines[usize::from(node.0)];
        let state = &self.checks.groups[usize::from(group.0)];
        let last = self.net.last(node, by).filter(|last| last.life == machine.life);
        let offered = last.is_some_and(|last| last.offers & bit != 0);
        let heard = last.is_some_and(|last| {
            // Clocks run up to two per cent wrong.
            let fresh = self.now.since(last.at) < self.checks.dead_after * 9 / 10;
            fresh && last.knows_me && last.active & bit != 0 && !offered
        });
        let at = usize::from(group.0);
        let healthy = machine.runs(self.now)
            && machine.active(at)
            && machine.groups[at].fit
            && !machine.groups[at].memory.standby
            && !machine.leaving();
        let known = self.now.since(holder.since()) >= KNOWN;
        let wished = state.wished.is_some_and(|at| self.now.since(at) < WISH_LASTS);
        let guarded = (node != by && heard && healthy && known && !wished).then_some(node);
        Judgement { guarded, offered, sent: self.now }
    }

    /// A take has changed the anchor's holder.
    pub(crate) fn taken(&mut self, by: NodeId, group: GroupId, before: Holder, seen: Judgement, late: bool) {
        let Holder::Node(from) = before else { return };
        let state = &mut self.checks.groups[usize::from(group.0)];
        if seen.offered || state.wished.is_some_and(|at| self.now.since(at) < WISH_LASTS) {
            self.tally.handed_over += 1;
            return;
        }
        state.takeovers += 1;
        let count = state.takeovers;
        self.tally.takeovers += 1;
        self.tally.takeovers_at_most = self.tally.takeovers_at_most.max(count);
        let calm = !late && !self.net.noisy() && !self.ec2.ill();
        let again = state
            .last_takeover
            .replace(self.now)
            .is_some_and(|at| at > self.checks.unrest && seen.sent.since(at) > RACE);
        if calm && again {
            self.checks.fail(format!("group {} is taken again, though nothing has happened since", group.0));
        }
        if late {
            self.checks.stir(self.now);
            self.tally.late_takeovers += 1;
        } else if seen.guarded == Some(from) {
            let (by, from, group) = (by.0, from.0, group.0);
            self.checks.fail(format!(
                "node {by} took group {group} from node {from}, which is healthy, active, and heard"
            ));
        }
        if count > TAKEOVERS {
            self.checks.fail(format!("{count} takeovers of group {}: a duel", group.0));
        }
    }

    /// A node says that a role of its own has changed.
    pub(crate) fn role_changed(&mut self, node: NodeId) {
        let now = self.now;
        let machine = &mut self.machines[usize::from(node.0)];
        let Some(process) = &mut machine.process else { return };
        let snapshot = process.core.cluster.snapshot(machine.clock.local(now));
        for (at, view) in snapshot.groups.iter().enumerate() {
            if std::mem::replace(&mut process.roles[at], view.role) == view.role {
                continue;
            }
            let row = view.reason.0;
            let holder = &self.ec2.anchors[at].holder;
            let since = now - ROLE_LAG;
            let own = Holder::Node(node);
            match view.role {
                Role::Active => {
                    self.tally.became_active(row);
                    if !holder.any_since(since, |it| it == own) {
                        let text = "became active, but has not held the anchor in the last 10 s";
                        self.checks.fail(format!("node {} group {at} {text}", node.0));
                    }
                }
                Role::Standby if row == Row::Yield && !holder.any_since(since, |it| it != own) => {
                    let text = "yielded, but has held the anchor all the last 10 s";
                    self.checks.fail(format!("node {} group {at} {text}", node.0));
                }
                Role::Standby if row == Row::Isolated && !process.leaving && !self.checks.releases[at] => {
                    self.checks.fail(format!("node {} group {at} released, but is to keep", node.0));
                }
                Role::Standby => {}
            }
        }
    }

    /// Looks at everything, ten times a second.
    pub(crate) fn look(&mut self) {
        self.checks.looks += 1;
        for group in 0..usize::from(self.topology.groups) {
            self.look_for_two(group);
            self.look_for_waits(group);
            if self.healed {
                self.look_for_peace(group);
            }
        }
        if self.checks.looks.is_multiple_of(10) {
            for node in 0..self.machines.len() {
                self.look_for_ghosts(node);
            }
        }
    }

    fn members(&self) -> impl Iterator<Item = usize> + use<> {
        0..usize::from(self.topology.members)
    }

    fn in_maintenance(&self, group: usize) -> bool {
        self.machines.iter().any(|it| it.groups[group].memory.maintenance.on)
    }

    fn look_for_two(&mut self, group: usize) {
        let now = self.now;
        let held = matches!(self.ec2.anchors[group].holder.now(), Holder::Node(_));
        let serves = |it: &usize| {
            let machine = &self.machines[*it];
            let node = NodeId(*it as u8);
            // While nobody holds the anchor, only a take can decide between them.
            let decidable = if held { self.ec2.readable(node) } else { self.ec2.well(node) };
            machine.runs(now) && machine.active(group) && decidable
        };
        let two = self.members().filter(serves).count() > 1 && !self.in_maintenance(group);
        let state = &mut self.checks.groups[group];
        match (two, state.two_since) {
            (true, None) => state.two_since = Some(now),
            (true, Some(since)) if now.since(since) > TWO_ACTIVES => {
                self.checks
                    .fail(format!("group {group} has two active nodes that read EC2, for {TWO_ACTIVES:?}"));
            }
            (false, Some(since)) => {
                self.tally.two_actives.push(now.since(since));
                state.two_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn look_for_waits(&mut self, group: usize) {
        let now = self.now;
        let holder = self.ec2.anchors[group].holder.now();
        let maintenance = self.in_maintenance(group) || self.checks.hold;
        let serves = |it: &usize| {
            let machine = &self.machines[*it];
            let fit = machine.groups[group].fit;
            machine.runs(now) && machine.active(group) && fit && holder == Holder::Node(NodeId(*it as u8))
        };
        let served = self.members().any(|it| serves(&it));
        let mut could = None::<Time>;
        for node in self.members() {
            let machine = &self.machines[node];
            let local = &machine.groups[group];
            let can = machine.runs(now)
                && !machine.leaving()
                && local.fit
                && local.able
                && !local.memory.standby
                && !maintenance
                && holder != Holder::Stranger
                && self.ec2.well(NodeId(node as u8));
            let since = &mut self.checks.could_since[group][node];
            *since = if can { since.or(Some(now)) } else { None };
            could = [could, *since].into_iter().flatten().min();
        }
        let state = &mut self.checks.groups[group];
        state.unserved_since = if served { None } else { state.unserved_since.or(Some(now)) };
        let both = state.unserved_since.zip(could);
        let waited = both.map_or(Duration::ZERO, |(a, b)| now.since(a.max(b)));
        if waited < state.waited {
            self.tally.waited(state.waited, LONG_WAIT);
        }
        state.waited = waited;
        if waited > WAITS {
            self.checks.fail(format!("group {group} is not served for {WAITS:?}, though a node could"));
        }
    }

    /// After the healing: one active node, which holds; all others stand by; and so it stays.
    fn look_for_peace(&mut self, group: usize) {
        let now = self.now;
        let active: Vec<usize> = self.members().filter(|it| self.machines[*it].active(group)).collect();
        let holder = self.ec2.anchors[group].holder.now();
        let peace = active.len() == 1
            && holder == Holder::Node(NodeId(active[0] as u8))
            && self.members().all(|it| {
                let machine = &self.machines[it];
                let wanted = if it == active[0] { Desired::Serve { repair: true } } else { Desired::Standby };
                machine.runs(now) && machine.groups[group].real == Some(wanted)
            });
        let state = &mut self.checks.groups[group];
        state.converged_since = if peace { state.converged_since.or(Some(now)) } else { None };
        let Some(quiet_from) = self.quiet_from else { return };
        match state.converged_since {
            None if now > quiet_from + CONVERGE => {
                let real: Vec<_> = self.members().map(|it| self.machines[it].groups[group].real).collect();
                self.checks.fail(format!(
                    "group {group} has not converged, or not stayed so: active {active:?}, holder {holder:?}, really {real:?}"
                ));
            }
            None => state.reported = false,
            Some(since) if now > quiet_from + CONVERGE && !state.reported => {
                state.reported = true;
                self.tally.converged(since.since(quiet_from));
            }
            Some(_) => {}
        }
    }

    /// Nobody is heard who has not said anything.
    fn look_for_ghosts(&mut self, node: usize) {
        if self.plant == Some(Plant::Rearms) {
            // Its forged datagram is the plant's means, not its end: the duel is what has to be found.
            return;
        }
        let now = self.now;
        let machine = &self.machines[node];
        let Some(process) = machine.process.as_ref().filter(|_| !machine.frozen(now)) else { return };
        let slack = self.checks.dead_after + self.checks.dead_after / 20 + super::chance::ms(300);
        for peer in process.core.cluster.snapshot(machine.clock.local(now)).peers {
            let heard = match peer.state {
                PeerState::Online | PeerState::Late => true,
                PeerState::NeverSeen
                | PeerState::KeyMismatch
                | PeerState::Lost
                | PeerState::Restarting
                | PeerState::Left => false,
            };
            let last = self.net.heard(peer.node, machine.id);
            if heard && now.since(last.max(machine.thawed_at)) > slack {
                let text = format!("node {node} hears node {}, which has not said anything", peer.node.0);
                return self.checks.fail(text);
            }
        }
    }
}
