//! With the lease: what must hold at every instant.

use standin::cluster::{GroupId, NodeId};

use super::WISH_LASTS;
use crate::chance::secs;
use crate::model::service::name;
use crate::world::World;

impl World {
    /// `lease-two` (c): with the lease, and without a grace, never two running services at one instant, from
    /// the beginning of the one's start to the end of the other's stop, whatever became of the agents.
    /// Bound: none at all. (In maintenance nothing is promised: the guard does nothing then, and what runs is left
    /// running; the promise holds again a minute after its end.)
    pub(crate) fn check_running(&mut self, node: NodeId, group: GroupId) {
        let at = usize::from(group.0);
        let Some(lease) = self.settings.groups[at].lease else { return };
        let other = self.machines.iter().find(|it| it.id != node && it.groups[at].service.running);
        let Some(other) = other.map(|it| it.id) else { return };
        if lease.grace.is_zero() && !self.maintained_lately(at) {
            let text = format!("{} starts group {at}, and {} has not stopped it", name(node), name(other));
            self.fail("lease-two", text);
        }
    }

    fn maintained_lately(&self, group: usize) -> bool {
        self.checks.groups[group].maintained.is_some_and(|at| self.now.since(at) < secs(60))
    }

    /// `guard`: with the lease, no service runs without a guard that will kill it.
    pub(crate) fn look_for_guards(&mut self, group: usize) {
        if self.settings.groups[group].lease.is_none() || self.maintained_lately(group) {
            return;
        }
        let bare = self.machines.iter().find(|it| {
            let service = &it.groups[group].service;
            service.running && service.guard.is_none()
        });
        if let Some(node) = bare.map(|it| it.id) {
            self.fail("guard", format!("{} runs group {group} without a guard", name(node)));
        }
    }

    /// `lease-take`: only who holds the lease sends a taking call.
    pub(super) fn check_lease_take(&mut self, by: NodeId, group: GroupId) {
        let at = usize::from(group.0);
        let Some(lease) = self.settings.groups[at].lease else { return };
        if lease.grace.is_zero() && self.dynamo.owners[at].now() != Some(by) {
            let text = format!("{} takes the anchor of group {at}, but does not hold the lease", name(by));
            self.fail("lease-take", text);
        }
    }

    /// `lease-moved` (d): the lease does not move from a node that runs, is fit, and reached DynamoDB all the
    /// last two leases and 10 s, unless it offered.
    pub(crate) fn check_lease_moved(
        &mut self,
        by: NodeId,
        group: GroupId,
        before: Option<NodeId>,
        after: Option<NodeId>,
    ) {
        let (Some(from), Some(to)) = (before, after) else { return };
        let at = usize::from(group.0);
        let Some(lease) = self.settings.groups[at].lease else { return };
        let offered = self.net.last(from, to).is_some_and(|last| last.offers & (1 << group.0) != 0);
        let wished = self.checks.groups[at].wished.is_some_and(|it| self.now.since(it) < WISH_LASTS);
        if offered || wished {
            self.tally.handed_over += 1;
            return;
        }
        self.tally.takeovers += 1;
        let state = &mut self.checks.groups[at];
        state.takeovers += 1;
        self.tally.takeovers_at_most = self.tally.takeovers_at_most.max(state.takeovers);
        let ok = self.checks.lease_ok_since[usize::from(from.0)];
        let long = ok.is_some_and(|since| self.now.since(since) > lease.length * 2 + secs(10));
        if long && self.healthy(from, group) {
            let text = format!(
                "{} took the lease of group {at} from {}, which could renew it",
                name(by),
                name(from)
            );
            self.fail("lease-moved", text);
        }
    }
}
