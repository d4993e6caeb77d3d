//! Recovery: whose instance is rebooted, when, and how often. What counts is when a call that reached EC2 was sent.

use standin::cluster::{GroupId, NodeId, Remedy, Time};

use crate::chance::secs;
use crate::model::ec2::Holder;
use crate::model::service::name;
use crate::world::World;

/// What the checker remembers of one node's attempts on another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    /// Of which process of the one.
    life: u32,
    /// When those that reached EC2 were sent, since the other was last well.
    sent: Vec<Time>,
    /// Calls that were sent, each with when the other had last been heard.
    asked: Vec<(Time, Time)>,
    /// The last one before an operator cleaned up.
    before: Option<Time>,
    /// Since when the one hears the other.
    well_since: Option<Time>,
    /// A stop was sent, and its start is still to come.
    stopping: bool,
}

impl Attempts {
    /// An operator has cleaned up: all may be tried anew, but not sooner.
    pub(super) fn forgive(&mut self) {
        let last = self.sent.pop();
        self.sent.clear();
        self.before = last.or(self.before);
    }
}

impl World {
    /// Who is heard for as long as it takes to boot is well. A little sooner than the core may think so: clocks are
    /// up to ten per cent wrong, and a core looks at them four times a second.
    pub(super) fn look_at_attempts(&mut self) {
        let Some(of) = self.settings.recovery else { return };
        let nodes = self.topology.nodes;
        for (by, whom) in (0..nodes).flat_map(|by| (0..nodes).map(move |whom| (NodeId(by), NodeId(whom)))) {
            let heard = self.now.since(self.net.heard(whom, by)) < self.checks.dead_after * 3 / 2;
            let (now, life) = (self.now, self.machine(by).life);
            let it = self.checks.attempts(by, whom);
            it.well_since = if heard { it.well_since.or(Some(now)) } else { None };
            let well = it.well_since.is_some_and(|since| now.since(since) > of.boot_time * 4 / 5);
            if life != it.life || well {
                // A restart that has begun is ended by the agent that runs next.
                let (well_since, stopping) = (it.well_since, it.stopping && !well);
                *it = Attempts { life, well_since, stopping, ..Attempts::default() };
            }
        }
    }

    /// `recover-heard`: nobody has an instance rebooted whose node it hears. `recover-owner`: nor one whose node has
    /// held an anchor for longer than that can go unnoticed. `recover-maintenance`: nor in maintenance.
    pub(crate) fn check_recovery(&mut self, by: NodeId, whom: NodeId, remedy: Remedy) {
        let asked = (self.now, self.net.heard(whom, by));
        self.checks.attempts(by, whom).asked.push(asked);
        if self.machines[usize::from(by.0)].thawed_at == self.now {
            return;
        }
        let (from, to) = (name(by), name(whom));
        let groups = || (0..self.topology.groups).map(GroupId);
        let life = self.machines[usize::from(whom.0)].life;
        let heard = self.net.last(whom, by).is_some_and(|last| {
            let fresh = self.now.since(last.at) < self.checks.dead_after * 9 / 10;
            fresh && last.life == life && last.knows_me && !last.goodbye
        });
        if heard || by == whom {
            let text = format!("{from} has {to} rebooted, and hears it");
            return self.fail("recover-heard", text);
        }
        // The second half of what was begun is always right: the instance has stopped.
        if remedy == Remedy::Start {
            return;
        }
        let owns = |group: GroupId| {
            let at = usize::from(group.0);
            let holder = &self.ec2.anchors[at].holder;
            let known = self.now.since(holder.since()) > secs(45);
            self.settings.groups[at].lease.is_none() && known && holder.now() == Holder::Node(whom)
        };
        if let Some(group) = groups().find(|group| owns(*group)) {
            let text = format!("{from} has {to} rebooted, which holds group {}", group.0);
            return self.fail("recover-owner", text);
        }
        if groups().any(|group| self.checks.told_of_maintenance(by, group)) {
            self.fail(
                "recover-maintenance",
                format!("{from} has {to} rebooted, and was told of maintenance"),
            );
        }
    }

    /// `recover-hasty`: not before the other had time to boot, from when it was last heard and from the attempt
    /// before. `recover-often`: no more attempts than configured. `recover-mutual`: of two nodes that do not hear each
    /// other only one has the other rebooted.
    pub(crate) fn recovery_landed(&mut self, by: NodeId, whom: NodeId, remedy: Remedy, sent: Time) {
        let Some(of) = self.settings.recovery else { return };
        let heard = self.net.heard(whom, by).max(self.net.heard(by, whom));
        let mutual = self.checks.attempts(whom, by).sent.last().is_some_and(|at| *at > heard);
        let life = self.machine(by).life;
        let it = self.checks.attempts(by, whom);
        let second_half = remedy == Remedy::Start && std::mem::take(&mut it.stopping);
        it.stopping |= remedy == Remedy::Stop;
        if second_half || it.life != life {
            return;
        }
        let asked = it.asked.iter().find(|(at, _)| *at == sent);
        let last_heard = asked.map_or(Time::ZERO, |(_, heard)| *heard);
        let before = it.sent.last().copied().or(it.before).unwrap_or(Time::ZERO);
        // Clocks are up to ten per cent wrong.
        let hasty = sent.since(last_heard.max(before)) < of.boot_time * 9 / 10;
        it.sent.push(sent);
        let often = it.sent.len() > of.attempts as usize;
        let (by, whom) = (name(by), name(whom));
        if hasty {
            self.fail("recover-hasty", format!("{by} has {whom} rebooted before it had time to boot"));
        }
        if often {
            self.fail("recover-often", format!("{by} has {whom} rebooted more than {} times", of.attempts));
        }
        if mutual {
            self.fail("recover-mutual", format!("{by} and {whom} have each other rebooted"));
        }
    }
}
