//! How long a group waits for a node that could serve it.

use std::time::Duration;

use standin::cluster::{Fencing, GroupId, NodeId, Running, Time, WhenSilent};

use crate::chance::secs;
use crate::model::ec2::Holder;
use crate::world::World;

/// A group that could be served waits at most so long.
pub(crate) const WAITS: Duration = secs(120);
/// A wait of this length is counted.
const LONG_WAIT: Duration = secs(60);

impl World {
    /// `waits` (f): no group is without service for more than the bound while one node could serve it all the
    /// time: its agent runs, EC2 (and with a lease, DynamoDB) answers it, its service is fit.
    pub(crate) fn look_for_waits(&mut self, group: usize) {
        let now = self.now;
        let holder = self.ec2.anchors[group].holder.now();
        let served = self.members().any(|it| {
            let machine = &self.machines[it];
            let local = &machine.groups[group];
            let serves = machine.runs(now) && machine.active(group) && local.fit && local.service.serves();
            serves && holder == Holder::Node(NodeId(it as u8))
        });
        let mut could = None::<Time>;
        for node in self.members() {
            let can = !served && self.can_serve(NodeId(node as u8), group, holder);
            let since = &mut self.checks.members[group][node].could_since;
            *since = if can || served { since.or(Some(now)) } else { None };
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
            self.fail("waits", format!("group {group} is not served for {WAITS:?}, though a node could"));
        }
    }

    /// Whether this node could take the group and serve, as it is configured.
    pub(super) fn can_serve(&self, node: NodeId, group: usize, holder: Holder) -> bool {
        let machine = &self.machines[usize::from(node.0)];
        let local = &machine.groups[group];
        let settings = &self.settings.groups[group];
        let id = GroupId(group as u8);
        machine.runs(self.now)
            && !machine.leaving()
            && local.fit
            && local.able
            && !local.memory.standby
            && !local.service.start_fails
            && !self.barred(node, id)
            && (settings.migration_threshold == 0 || local.memory.fail_count < settings.migration_threshold)
            && !self.in_maintenance(group)
            && holder != Holder::Stranger
            && self.ec2.ill.well(node)
            && (settings.lease.is_none() || self.dynamo.ill.well(node))
            && !self.holds_back(node, group, holder)
    }

    /// What an operator has chosen to wait for: a `migration-threshold` of zero, by which a node whose service does
    /// not start keeps the group; `when-silent` hold (and probe, which holds while the service
    /// answers or has never answered this node), without EC2's word or a goodbye; fencing that is refused;
    /// damping, after six takeovers by silence within the hour.
    fn holds_back(&self, node: NodeId, group: usize, holder: Holder) -> bool {
        let settings = &self.settings.groups[group];
        let Holder::Node(from) = holder else { return false };
        if from == node {
            return false;
        }
        let it = usize::from(from.0);
        let stuck = settings.migration_threshold == 0 && self.machines[it].groups[group].service.start_fails;
        let gone = self.ec2.instances[it].now() != Running::Yes
            || self.net.last(from, node).is_some_and(|last| last.goodbye);
        let asks_more = settings.when_silent != WhenSilent::Take && !gone;
        let unstoppable = settings.fencing != Fencing::None && self.ec2.protected[it];
        let me = &self.machines[usize::from(node.0)].groups[group];
        let damped = me.memory.silent_takeovers.len() >= 6;
        stuck || asks_more || (unstoppable && !settings.take_when_fencing_fails) || damped
    }
}
