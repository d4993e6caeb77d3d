//! A group's service on a machine, and the guard that kills it: both outlive the agent.

use std::time::Duration;

use standin::cluster::{Desired, Event, Failure, GroupId, NodeId, ServiceFailure, Time};

use super::calls::Asks;
use crate::chance::{Chance, ms, secs};
use crate::world::{Next, World};

/// How often the shell looks whether the rest is where it should be.
const REPAIR_EVERY: Duration = secs(7);

/// The service, as it really is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    /// It runs as active, from the beginning of its start to the end of its stop.
    pub(crate) running: bool,
    /// What was reached last; `None`: nothing yet, or it is on its way, or the guard came between.
    pub(crate) real: Option<Desired>,
    /// What the shell was told last, and under which number.
    pub(crate) wanted: Option<(Desired, u64)>,
    /// The job under way (systemd's); zero: none.
    job: u64,
    /// The guard kills it then, by the machine's clock.
    pub(crate) guard: Option<Time>,
    /// Its next starts fail.
    pub(crate) start_fails: bool,
}

impl Service {
    /// It answers callers.
    pub(crate) fn serves(&self) -> bool {
        self.running && matches!(self.real, Some(Desired::Serve { .. }))
    }
}

/// A change that systemd carries out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) node: NodeId,
    pub(crate) group: GroupId,
    number: u64,
    desired: Desired,
    /// The process that is told, and the number that it knows it by.
    life: u32,
    change: u64,
}

impl World {
    pub(crate) fn service(&mut self, node: NodeId, group: GroupId) -> &mut Service {
        &mut self.machine(node).groups[usize::from(group.0)].service
    }

    /// The core wants the world so.
    pub(crate) fn converge(&mut self, node: NodeId, group: GroupId, desired: Desired, change: u64) {
        self.say(|| format!("{} group {} is to be {desired:?}", name(node), group.0));
        let settings = &self.settings.groups[usize::from(group.0)];
        let (cold, stop_bound) = (settings.cold, settings.lease.map(|lease| lease.stop_bound));
        let service = &self.machines[usize::from(node.0)].groups[usize::from(group.0)].service;
        let serves = matches!(desired, Desired::Serve { .. });
        let same = service.real.is_some_and(|real| matches!(real, Desired::Serve { .. }) == serves);
        let takes = match (same, serves) {
            (true, _) => self.random.spread(ms(2), ms(200)),
            (false, true) if cold => self.random.spread(ms(200), secs(8)),
            (false, true) => self.random.spread(ms(5), secs(2)),
            // Who does not stop within the bound is killed by the shell.
            (false, false) => self.random.spread(ms(5), stop_bound.unwrap_or(secs(4))),
        };
        let service = self.service(node, group);
        if !same {
            service.real = None;
        }
        service.wanted = Some((desired, change));
        if serves && !service.running {
            self.starts_running(node, group);
        }
        let life = self.machine(node).life;
        self.job(node, group, desired, (life, change), takes);
        if desired == (Desired::Serve { repair: true }) {
            self.later(ms(1), Next::Repairs { node, life, group, change });
        }
    }

    fn job(
        &mut self,
        node: NodeId,
        group: GroupId,
        desired: Desired,
        (life, change): (u32, u64),
        takes: Duration,
    ) {
        self.jobs += 1;
        let number = self.jobs;
        self.service(node, group).job = number;
        self.later(takes, Next::JobEnds(Job { node, group, number, desired, life, change }));
    }

    fn starts_running(&mut self, node: NodeId, group: GroupId) {
        self.service(node, group).running = true;
        self.check_running(node, group);
    }

    pub(crate) fn job_ends(&mut self, job: Job) {
        let (node, group, change) = (job.node, job.group, job.change);
        let service = self.service(node, group);
        if service.job != job.number {
            return;
        }
        service.job = 0;
        let fails =
            matches!(job.desired, Desired::Serve { .. }) && service.start_fails && service.real.is_none();
        let event = if fails {
            service.running = false;
            service.real = None;
            Event::ServiceFailed { group, how: ServiceFailure::Start }
        } else {
            service.real = Some(job.desired);
            if job.desired == Desired::Standby {
                service.running = false;
            }
            Event::Converged { group, change }
        };
        if fails {
            self.failure_told(node, group, true);
            self.say(|| format!("{} group {}: its service does not start", name(node), group.0));
        }
        if self.machine(node).life == job.life {
            self.tell(node, event);
            if fails {
                self.start_again(
                    node,
                    group,
                    (job.desired, change),
                    self.random.clone().between(secs(3), secs(10)),
                );
            }
        }
    }

    /// The shell starts a service again that has failed, unless the core, which was told, wants something else by
    /// now, or the guard's time is over.
    fn start_again(&mut self, node: NodeId, group: GroupId, wanted: (Desired, u64), takes: Duration) {
        let machine = &self.machines[usize::from(node.0)];
        let (local, life) = (machine.clock.local(self.now), machine.life);
        let service = &machine.groups[usize::from(group.0)].service;
        if service.wanted != Some(wanted) || service.running || !matches!(wanted.0, Desired::Serve { .. }) {
            return;
        }
        // It waits for the guard's next deadline, without which nothing would stop what is started.
        if service.guard.is_some_and(|until| local >= until) {
            return self.later(ms(250), Next::StartsAgain { node, group, life, wanted, takes });
        }
        self.starts_running(node, group);
        self.job(node, group, wanted.0, (life, wanted.1), takes);
    }

    /// The guard has been told another deadline meanwhile, or not.
    pub(crate) fn starts_again(
        &mut self,
        (node, group): (NodeId, GroupId),
        life: u32,
        wanted: (Desired, u64),
        takes: Duration,
    ) {
        let machine = &self.machines[usize::from(node.0)];
        if machine.life != life || machine.process.is_none() {
            return;
        }
        if machine.frozen(self.now) {
            return self.later(secs(1), Next::StartsAgain { node, group, life, wanted, takes });
        }
        self.start_again(node, group, wanted, takes);
    }

    /// The agent's process has ended: what it had begun goes on, if systemd has it already.
    pub(crate) fn orphan_jobs(&mut self, node: NodeId) {
        for group in (0..self.topology.groups).map(GroupId) {
            let lost = self.random.chance(500);
            let service = self.service(node, group);
            service.wanted = None;
            if lost {
                service.job = 0;
            }
        }
    }

    /// The guard is told when to kill; it knows nothing but the machine's clock.
    pub(crate) fn set_guard(&mut self, node: NodeId, group: GroupId, until: Option<Time>) {
        let now = self.now;
        let service = self.service(node, group);
        if service.guard == until {
            return;
        }
        service.guard = until;
        let Some(until) = until else { return };
        let at = self.machine(node).clock.world(until).max(now);
        // It takes a moment to kill a cgroup.
        let kill = self.random.between(Duration::ZERO, ms(30));
        self.later(at.since(now) + kill, Next::Guards { node, group, until });
    }

    pub(crate) fn guards(&mut self, node: NodeId, group: GroupId, until: Time) {
        let service = self.service(node, group);
        if service.guard != Some(until) || !self.machine(node).up {
            return;
        }
        let service = self.service(node, group);
        let (ran, stops) = (service.running, matches!(service.wanted, Some((Desired::Standby, _))));
        service.running = false;
        if !stops {
            service.real = None;
            service.job = 0;
        }
        if ran {
            self.tally.guard_kills += 1;
            self.say(|| format!("{} group {}: the guard kills its service", name(node), group.0));
            // Whoever still wants it to run is told by systemd.
            let life = self.machine(node).life;
            self.later(ms(10), Next::FindsDead { node, group, life });
        }
    }

    /// The service fails; the shell tells, and starts it again.
    pub(crate) fn service_fails(&mut self, node: NodeId, group: GroupId) {
        let machine = &self.machines[usize::from(node.0)];
        let runs = machine.runs(self.now);
        if !machine.groups[usize::from(group.0)].service.serves() {
            return;
        }
        self.say(|| format!("{} group {}: its service fails", name(node), group.0));
        let takes = self.random.spread(ms(50), secs(3));
        let service = self.service(node, group);
        service.running = false;
        service.real = None;
        let wanted = service.wanted;
        if !runs {
            let life = self.machine(node).life;
            return self.later(secs(1), Next::FindsDead { node, group, life });
        }
        self.failure_told(node, group, false);
        self.tell(node, Event::ServiceFailed { group, how: ServiceFailure::Running });
        if let Some(wanted) = wanted {
            self.start_again(node, group, wanted, takes);
        }
    }

    /// An agent that stood still finds its service dead.
    pub(crate) fn finds_dead(&mut self, node: NodeId, group: GroupId, life: u32) {
        let machine = &self.machines[usize::from(node.0)];
        if machine.life != life || machine.process.is_none() {
            return;
        }
        if machine.frozen(self.now) {
            return self.later(secs(1), Next::FindsDead { node, group, life });
        }
        let service = &machine.groups[usize::from(group.0)].service;
        let Some(wanted @ (Desired::Serve { .. }, _)) = service.wanted.filter(|_| !service.running) else {
            return;
        };
        self.failure_told(node, group, false);
        self.tell(node, Event::ServiceFailed { group, how: ServiceFailure::Running });
        let takes = self.random.spread(ms(50), secs(3));
        self.start_again(node, group, wanted, takes);
    }

    /// The shell looks after the rest, for as long as the core wants it to.
    pub(crate) fn repairs(&mut self, node: NodeId, life: u32, group: GroupId, change: u64) {
        let now = self.now;
        let wanted = Some((Desired::Serve { repair: true }, change));
        let machine = self.machine(node);
        if machine.life != life || machine.process.is_none() {
            return;
        }
        if machine.frozen(now) {
            let thaws = machine.frozen_until.since(now);
            return self.later(thaws + ms(5), Next::Repairs { node, life, group, change });
        }
        if self.service(node, group).wanted == wanted {
            self.call(node, Asks::ReadRest { group, change });
            self.later(REPAIR_EVERY, Next::Repairs { node, life, group, change });
        }
    }

    /// What EC2 says of the rest.
    pub(crate) fn rest_read(
        &mut self,
        node: NodeId,
        group: GroupId,
        change: u64,
        mine: Result<bool, Failure>,
    ) {
        let wanted = Some((Desired::Serve { repair: true }, change));
        let runs = self.machines[usize::from(node.0)].runs(self.now);
        if mine == Ok(false) && runs && self.service(node, group).wanted == wanted {
            self.check_rest(node, group);
            self.call(node, Asks::TakeRest { group });
        }
    }
}

/// "a" to "e".
pub(crate) fn name(node: NodeId) -> char {
    char::from(b'a' + node.0)
}
