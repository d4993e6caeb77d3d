//! What a node says it has become, and what it remembers.

use std::time::Duration;

use standin::cluster::{GroupId, Memory, NodeId, Role, Row, Time};

use crate::chance::secs;
use crate::model::ec2::Holder;
use crate::model::service::name;
use crate::world::World;

/// A role follows its owner within this: the lag of reads, a call's timeout, a stall.
const ROLE_LAG: Duration = secs(10);
/// Takeovers by row 16 that one node's disk may see in an hour (damping).
const BY_SILENCE: u32 = 6;

impl World {
    /// A node says that a role of its own has changed.
    pub(crate) fn role_changed(&mut self, node: NodeId) {
        let now = self.now;
        let machine = &mut self.machines[usize::from(node.0)];
        let Some(process) = &mut machine.process else { return };
        let snapshot = process.core.cluster.snapshot(machine.clock.local(now));
        let leaving = process.leaving;
        let mut changed = Vec::new();
        for (at, view) in snapshot.groups.iter().enumerate() {
            if std::mem::replace(&mut process.roles[at], view.role) != view.role {
                changed.push((GroupId(at as u8), view.role, view.reason.0));
            }
        }
        for (group, role, row) in changed {
            match role {
                Role::Active => {
                    self.tally.became_active(row);
                    self.became_active(node, group, row);
                }
                Role::Standby => self.became_standby(node, group, row, leaving),
            }
        }
    }

    /// `role` (a): who becomes active owns the group, or did in the last 10 s. `barred`: it is not over its
    /// migration threshold, unless (row 10) it hears nobody that could serve. `damping`: no node is active by row 16 more than six times an hour, restarts of its
    /// agent included.
    fn became_active(&mut self, node: NodeId, group: GroupId, row: Row) {
        let (at, since) = (usize::from(group.0), self.now - ROLE_LAG);
        let owns = if self.settings.groups[at].lease.is_some() {
            self.dynamo.owners[at].any_since(since, |it| it == Some(node))
        } else {
            self.ec2.anchors[at].holder.any_since(since, |it| it == Holder::Node(node))
        };
        if !owns {
            let text =
                format!("{} group {at} became active, but has not owned it in the last 10 s", name(node));
            self.fail("role", text);
        }
        let last_resort = row == Row::OwnUnfit && !self.hears_better(node, group);
        if self.barred(node, group) && !last_resort && !self.checks.wished_lately(group, self.now) {
            let text =
                format!("{} group {at} became active, though its service has failed too often", name(node));
            self.fail("barred", text);
        }
        // What an operator forced is exempt.
        let forced = self.checks.wished_lately(group, self.now);
        let member = self.checks.member(node, group);
        member.by_silence += u32::from(row == Row::Silent && !forced);
        if member.by_silence > BY_SILENCE {
            let text =
                format!("{} group {at} was taken by silence more than six times in an hour", name(node));
            self.fail("damping", text);
        }
    }

    /// Whether a node that could serve has been heard here for long enough to be known as such.
    pub(super) fn hears_better(&self, node: NodeId, group: GroupId) -> bool {
        let holder = self.ec2.anchors[usize::from(group.0)].holder.now();
        let better = |it: &NodeId| {
            let heard = self.net.last(*it, node).is_some_and(|last| {
                let life = self.machines[usize::from(it.0)].life;
                last.life == life && last.knows_me && self.now.since(last.at) < self.checks.dead_after / 2
            });
            heard && self.can_serve(*it, usize::from(group.0), holder)
        };
        let calm = self.now.since(self.checks.unrest) > secs(40);
        calm && self.settings.groups[usize::from(group.0)].nodes.iter().filter(|it| **it != node).any(better)
    }

    /// `yield`: who yields has lost the anchor in the last 10 s. `isolated`: an isolated node keeps, if it is to.
    fn became_standby(&mut self, node: NodeId, group: GroupId, row: Row, leaving: bool) {
        let at = usize::from(group.0);
        let settings = &self.settings.groups[at];
        let (leased, releases) = (settings.lease.is_some(), settings.release_when_isolated);
        let holder = &self.ec2.anchors[at].holder;
        let lost = holder.any_since(self.now - ROLE_LAG, |it| it != Holder::Node(node));
        if row == Row::Yield && !leased && !lost {
            let text =
                format!("{} group {at} yielded, but has held the anchor all the last 10 s", name(node));
            self.fail("yield", text);
        }
        if row == Row::Isolated && !leased && !leaving && !releases {
            self.fail("isolated", format!("{} group {at} released, but is to keep", name(node)));
        }
    }

    /// The service failed here, and the agent is told so.
    pub(crate) fn failure_told(&mut self, node: NodeId, group: GroupId, start: bool) {
        let now = self.now;
        let machine = &self.machines[usize::from(node.0)];
        if !machine.runs(now) {
            return;
        }
        // What maintenance or a stall of its own explains does not count.
        let stalled = now.since(machine.thawed_at) < secs(6);
        let counts = !machine.groups[usize::from(group.0)].memory.maintenance.on && !stalled;
        let timeout = self.settings.groups[usize::from(group.0)].failure_timeout;
        let member = self.checks.member(node, group);
        let over =
            member.failed_at.zip(timeout).is_some_and(|(at, timeout)| now.since(at) > timeout * 8 / 10);
        if over {
            member.failures = 0;
        }
        // A start that fails bars at once, but who knows for how long.
        member.failures += u32::from(counts && !start);
        member.failed_at = Some(now);
    }

    /// Whether its failures have reached the migration threshold, and are not forgotten.
    pub(super) fn barred(&self, node: NodeId, group: GroupId) -> bool {
        let settings = &self.settings.groups[usize::from(group.0)];
        let member = &self.checks.members[usize::from(group.0)][usize::from(node.0)];
        let forgotten = member
            .failed_at
            .zip(settings.failure_timeout)
            .is_some_and(|(at, timeout)| self.now.since(at) > timeout * 8 / 10);
        settings.migration_threshold > 0 && member.failures >= settings.migration_threshold && !forgotten
    }

    /// `blame` (e): a fail count grows only by a failure that the node was told in the same breath.
    pub(crate) fn check_memory(&mut self, node: NodeId, group: GroupId, new: &Memory) {
        let old = self.machines[usize::from(node.0)].groups[usize::from(group.0)].memory.fail_count;
        let told = self.checks.member(node, group).failed_at;
        if new.fail_count > old && told.is_none_or(|at: Time| self.now.since(at) > secs(1)) {
            let text = format!("{} counts a failure of group {} that there was not", name(node), group.0);
            self.fail("blame", text);
        }
    }
}
