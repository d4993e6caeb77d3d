//! How faults begin and end, and how everything is healed.

use std::time::Duration;

use standin::cluster::{Event, GroupId, Memory, NodeId, Running, Shutdown, Time, Wish};

use super::Fault;
use crate::chance::{Chance, ms, secs};
use crate::model::ec2::Holder;
use crate::model::net::Trouble;
use crate::model::service::name;
use crate::world::{FAULTY, Next, World};

impl World {
    pub(crate) fn begin(&mut self, at: usize) {
        if self.healed {
            return;
        }
        let planned = self.faults[at];
        self.tally.fault(planned.fault.name());
        self.checks.stir(self.now);
        self.say(|| format!("FAULT {at} {:?} for {:.1?}", planned.fault, planned.lasts));
        self.later(planned.lasts, Next::Ends(at));
        let now = self.now;
        match planned.fault {
            Fault::Network(scope, trouble) => self.net.trouble(at, scope, trouble),
            Fault::Flaps(..) => {
                let until = now + planned.lasts;
                self.later(ms(0), Next::Flaps { fault: at, cut: true, until });
            }
            Fault::Cloud(node, illness) => self.ec2.ill.fall_ill(at, node, illness),
            Fault::Lease(node, illness) => self.dynamo.ill.fall_ill(at, node, illness),
            Fault::Replay(to) => self.later(ms(0), Next::Replays { to, until: now + planned.lasts }),
            Fault::Crash { node, forgets } => {
                self.machine(node).end_process();
                self.orphan_jobs(node);
                if forgets {
                    self.forget(node);
                }
            }
            Fault::Restart(node, back) => self.shut_down(node, Shutdown::Restart, Some(back)),
            Fault::Stop(node) => self.shut_down(node, Shutdown::Stop, None),
            Fault::Freeze(node) => self.freeze(node, planned.lasts),
            Fault::Stalls(node, length) => {
                let until = now + planned.lasts;
                self.later(ms(0), Next::Stalls { node, length, until });
            }
            Fault::Unfit(node, group) => self.set_fit(node, group, false),
            Fault::Unable(node, group) => self.set_able(node, group, false),
            Fault::Switchover(group, to) => {
                self.checks.wished(group, now);
                for node in (0..self.topology.members).map(NodeId) {
                    self.tell(node, Event::Asked(Wish::Switchover(group, to)));
                }
            }
            Fault::Standby(node, group) => self.set_standby(node, group, true),
            Fault::Maintenance(node, group) => {
                self.asked_maintenance(node, group, true);
            }
            Fault::Fails { node, group, times } => self.fails(node, group, times),
            Fault::StartFails(node, group) => self.service(node, group).start_fails = true,
            Fault::Cleanup(node, group) => self.clean_up(node, group),
            Fault::TakeOver(node, group) => {
                self.checks.wished(group, now);
                self.tell(node, Event::Asked(Wish::TakeOver(group)));
            }
            Fault::Moved(group, holder) => {
                self.checks.moved(group, now);
                self.ec2.put(group, holder, now);
            }
            Fault::InstanceStop { node, hard, gone } => self.stop_instance(node, hard, gone),
        }
    }

    pub(crate) fn end(&mut self, at: usize) {
        if self.healed {
            return;
        }
        let fault = self.faults[at].fault;
        self.checks.stir(self.now);
        self.say(|| format!("ends  {at} {fault:?}"));
        let now = self.now;
        match fault {
            Fault::Network(..) => self.net.clear(at),
            Fault::Flaps(..) => self.net.clear(at),
            Fault::Cloud(..) => self.ec2.ill.recover(at),
            Fault::Lease(..) => self.dynamo.ill.recover(at),
            Fault::StartFails(node, group) => self.service(node, group).start_fails = false,
            Fault::Crash { node, .. } => self.start(node),
            Fault::Stop(node) => match &mut self.machine(node).process {
                Some(process) if process.leaving => process.back_in = Some(ms(100)),
                Some(_) | None => self.start(node),
            },
            Fault::Unfit(node, group) => self.set_fit(node, group, true),
            Fault::Unable(node, group) => self.set_able(node, group, true),
            Fault::Standby(node, group) => self.set_standby(node, group, false),
            Fault::Maintenance(node, group) => {
                self.asked_maintenance(node, group, false);
            }
            Fault::Moved(group, Holder::Stranger) => {
                if self.ec2.anchors[usize::from(group.0)].holder.now() == Holder::Stranger {
                    self.ec2.put(group, Holder::Nobody, now);
                }
            }
            Fault::InstanceStop { node, .. } => self.boot(node),
            Fault::Replay(_)
            | Fault::Restart(..)
            | Fault::Freeze(_)
            | Fault::Stalls(..)
            | Fault::Switchover(..)
            | Fault::Fails { .. }
            | Fault::Cleanup(..)
            | Fault::TakeOver(..)
            | Fault::Moved(..) => {}
        }
    }

    fn asked_maintenance(&mut self, node: NodeId, group: GroupId, on: bool) {
        let told = on && self.machines[usize::from(node.0)].runs(self.now);
        self.checks.asked_maintenance(node, group, told);
        self.tell(node, Event::Asked(Wish::Maintenance(group, on)));
    }

    fn clean_up(&mut self, node: NodeId, group: GroupId) {
        self.checks.cleaned(node, group);
        self.tell(node, Event::Asked(Wish::Cleanup(group)));
    }

    /// What was on disk is gone.
    fn forget(&mut self, node: NodeId) {
        for group in &mut self.machine(node).groups {
            group.memory = Memory::default();
        }
        self.checks.forgot(node);
    }

    /// The service fails, and again a little later.
    pub(crate) fn fails(&mut self, node: NodeId, group: GroupId, times: u32) {
        if times == 0 || self.healed {
            return;
        }
        self.service_fails(node, group);
        let after = self.random.spread(secs(1), secs(20));
        self.later(after, Next::Fails { node, group, times: times - 1 });
    }

    /// Cut for a little longer than it takes to be believed dead, then open for a little longer than it takes
    /// to be believed alive.
    pub(crate) fn flaps(&mut self, fault: usize, cut: bool, until: Time) {
        let Fault::Flaps(scope) = self.faults[fault].fault else { return };
        if self.healed || self.now >= until {
            return;
        }
        self.checks.stir(self.now);
        if cut {
            self.net.trouble(fault, scope, Trouble::Cut);
        } else {
            self.net.clear(fault);
        }
        let after: Duration = if cut {
            self.settings.dead_after + self.random.between(secs(2), secs(6))
        } else {
            self.random.between(secs(8), secs(25))
        };
        self.later(after, Next::Flaps { fault, cut: !cut, until });
    }

    pub(crate) fn shut_down(&mut self, node: NodeId, how: Shutdown, back_in: Option<Duration>) {
        if let Some(process) = &mut self.machine(node).process {
            process.leaving = true;
            process.back_in = back_in.or(process.back_in);
            self.tell(node, Event::ShutdownAsked(how));
        }
    }

    fn set_fit(&mut self, node: NodeId, group: GroupId, fit: bool) {
        self.machine(node).groups[usize::from(group.0)].fit = fit;
        self.tell(node, Event::ServiceChanged { group, fit });
    }

    fn set_able(&mut self, node: NodeId, group: GroupId, able: bool) {
        self.machine(node).groups[usize::from(group.0)].able = able;
        let able = if able { Ok(()) } else { Err("an injected reason".into()) };
        self.tell(node, Event::AbilityChanged { group, able });
    }

    fn set_standby(&mut self, node: NodeId, group: GroupId, standby: bool) {
        self.checks.wished(group, self.now);
        self.tell(node, Event::Asked(Wish::Standby(group, standby)));
    }

    fn stop_instance(&mut self, node: NodeId, hard: bool, gone: bool) {
        let now = self.now;
        if !self.machine(node).up || self.ec2.instances[usize::from(node.0)].now() != Running::Yes {
            return;
        }
        self.ec2.set_instance(node, Running::Ending, false, now);
        if hard {
            self.machine(node).power_off();
        } else {
            self.shut_down(node, Shutdown::Stop, None);
        }
        let after = self.random.between(secs(2), secs(9));
        self.later(after, Next::PowersOff { node, gone });
    }

    pub(crate) fn power_off(&mut self, node: NodeId, gone: bool) {
        let now = self.now;
        if self.ec2.instances[usize::from(node.0)].now() != Running::Ending {
            return;
        }
        self.checks.stir(now);
        self.machine(node).power_off();
        if gone {
            self.forget(node);
        }
        self.ec2.set_instance(node, Running::No, gone, now);
        self.say(|| {
            format!("{}: its instance is {}", name(node), if gone { "terminated" } else { "stopped" })
        });
        if self.healed {
            self.later(secs(1), Next::Boots(node));
        }
    }

    /// The instance is started, unless it runs or is still stopping.
    pub(crate) fn boot(&mut self, node: NodeId) {
        let now = self.now;
        if self.ec2.instances[usize::from(node.0)].now() != Running::No {
            return;
        }
        self.checks.stir(now);
        self.ec2.set_instance(node, Running::Yes, false, now);
        let mut random = self.random.clone();
        self.random.next();
        self.machine(node).boot(now, &mut random);
        let after = if self.healed { ms(1) } else { self.random.between(secs(1), secs(20)) };
        self.later(after, Next::Starts(node));
    }

    /// Everything is mended; the operator's wishes are taken back once all can hear it.
    pub(crate) fn heal(&mut self, step: u32) {
        self.healed = true;
        if step == 0 {
            self.say(|| "HEALED".into());
            self.net.clear_all();
            self.ec2.ill.recover_all();
            self.dynamo.ill.recover_all();
            for at in 0..self.ec2.anchors.len() {
                if self.ec2.anchors[at].holder.now() == Holder::Stranger {
                    self.ec2.put(GroupId(at as u8), Holder::Nobody, self.now);
                }
            }
            for node in (0..self.topology.nodes).map(NodeId) {
                self.heal_node(node);
            }
            self.later(secs(5), Next::Heals(1));
            return;
        }
        for node in (0..self.topology.nodes).map(NodeId) {
            for group in (0..self.topology.groups).map(GroupId) {
                self.tell(node, Event::Asked(Wish::Standby(group, false)));
                self.clean_up(node, group);
                if self.machine(node).groups[usize::from(group.0)].memory.maintenance.on {
                    self.asked_maintenance(node, group, false);
                }
            }
        }
        // What is under way has to have happened: calls that land late, instances that are being stopped.
        if self.now > Time::ZERO + FAULTY + secs(600) {
            return self.fail("peace", "instances are stopped ten minutes after the healing".into());
        }
        let all_run = self.ec2.instances.iter().all(|it| it.now() == Running::Yes);
        if step < 3 || self.last_landing > self.now || !all_run {
            return self.later(secs(2), Next::Heals(step + 1));
        }
        self.quiet_from = Some(self.now);
        self.say(|| "QUIET: now it has to converge".into());
    }

    fn heal_node(&mut self, node: NodeId) {
        let now = self.now;
        let machine = self.machine(node);
        if machine.frozen(now) {
            machine.frozen_until = now;
            self.thaw(node);
        }
        self.boot(node);
        self.rebooted(node);
        self.start(node);
        for group in (0..self.topology.groups).map(GroupId) {
            self.set_fit(node, group, true);
            self.set_able(node, group, true);
            self.service(node, group).start_fails = false;
        }
    }
}
