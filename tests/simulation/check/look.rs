//! What is looked at ten times a second.

use std::time::Duration;

use standin::cluster::{GroupId, NodeId, PeerState, WhenSilent};

use crate::chance::{ms, secs};
use crate::model::ec2::Holder;
use crate::model::service::name;
use crate::plant::Plant;
use crate::world::World;

/// Two active nodes that both read EC2, at most for so long.
const TWO_ACTIVES: Duration = secs(20);
/// The loser's service stops within this, counted from when it has lost the anchor, runs, and reads EC2: two
/// reads of an active node (10 s each), a call's timeout (3 s), and the stop (4 s).
const LOSER_STOPS: Duration = secs(28);

impl World {
    /// Looks at everything.
    pub(crate) fn look(&mut self) {
        self.checks.looks += 1;
        for node in 0..self.machines.len() {
            let ok = self.machines[node].runs(self.now) && self.dynamo.ill.well(NodeId(node as u8));
            let since = &mut self.checks.lease_ok_since[node];
            *since = if ok { since.or(Some(self.now)) } else { None };
        }
        self.look_at_attempts();
        for group in 0..usize::from(self.topology.groups) {
            if self.in_maintenance(group) {
                self.checks.groups[group].maintained = Some(self.now);
            }
            self.look_at_probes(group);
            self.look_for_two(group);
            self.look_for_losers(group);
            self.look_for_waits(group);
            self.look_for_guards(group);
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

    /// Since when each node's probe would be answered.
    fn look_at_probes(&mut self, group: usize) {
        if self.settings.groups[group].when_silent != WhenSilent::Probe {
            return;
        }
        let id = GroupId(group as u8);
        for node in self.members().map(|it| NodeId(it as u8)) {
            let runs = self.machines[usize::from(node.0)].runs(self.now);
            let ok = runs && self.probe_answers(node, id);
            let now = self.now;
            let member = self.checks.member(node, id);
            member.probe_ok_since = if ok { member.probe_ok_since.or(Some(now)) } else { None };
        }
    }

    /// `two-active` (a): two active nodes that both read EC2 are one again within 20 s. (With the lease there is
    /// a stricter one.)
    fn look_for_two(&mut self, group: usize) {
        let now = self.now;
        if self.settings.groups[group].lease.is_some() {
            return;
        }
        let held = matches!(self.ec2.anchors[group].holder.now(), Holder::Node(_));
        let serves = |it: &usize| {
            let machine = &self.machines[*it];
            let node = NodeId(*it as u8);
            // While nobody holds the anchor, only a take can decide between them.
            let decidable = if held { self.ec2.ill.readable(node) } else { self.ec2.ill.well(node) };
            machine.runs(now) && machine.active(group) && decidable
        };
        let two = self.members().filter(serves).count() > 1 && !self.in_maintenance(group);
        let state = &mut self.checks.groups[group];
        match (two, state.two_since) {
            (true, None) => state.two_since = Some(now),
            (true, Some(since)) if now.since(since) > TWO_ACTIVES => {
                let text = format!("group {group} has two active nodes that read EC2, for {TWO_ACTIVES:?}");
                self.fail("two-active", text);
            }
            (false, Some(since)) => {
                self.tally.two_actives.add(now.since(since));
                state.two_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// `loser` (b): a service whose node has lost the anchor stops within 28 s of its agent running and reading
    /// EC2 again.
    fn look_for_losers(&mut self, group: usize) {
        let (now, holder) = (self.now, self.ec2.anchors[group].holder.now());
        let spared = self.in_maintenance(group) || self.settings.groups[group].lease.is_some();
        for node in self.members() {
            let it = NodeId(node as u8);
            let machine = &self.machines[node];
            let lost = !matches!(holder, Holder::Nobody | Holder::Orphaned) && holder != Holder::Node(it);
            let knows = machine.runs(now) && self.ec2.ill.readable(it);
            let outlives = machine.groups[group].service.running && lost && knows && !spared;
            let member = self.checks.member(it, GroupId(group as u8));
            match (outlives, member.outlives_since) {
                (true, None) => member.outlives_since = Some(now),
                (true, Some(since)) if now.since(since) > LOSER_STOPS => {
                    let text = format!(
                        "{} has lost group {group}, and its service runs after {LOSER_STOPS:?}",
                        name(it)
                    );
                    self.fail("loser", text);
                }
                (false, Some(since)) => {
                    member.outlives_since = None;
                    self.tally.losers.add(now.since(since));
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
    }

    /// `ghost`: nobody is heard who has not said anything for dead-after, by a clock that may be 10 % slow, and
    /// 300 ms.
    fn look_for_ghosts(&mut self, node: usize) {
        if self.plant == Some(Plant::Rearms) {
            // Its forged datagram is the plant's means, not its end: the duel is what has to be found.
            return;
        }
        let now = self.now;
        let machine = &self.machines[node];
        let Some(process) = machine.process.as_ref().filter(|_| !machine.frozen(now)) else { return };
        let slack = self.checks.dead_after + self.checks.dead_after / 8 + ms(300);
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
                let (node, peer) = (name(machine.id), name(peer.node));
                return self.fail("ghost", format!("{node} hears {peer}, which has not said anything"));
            }
        }
    }
}
