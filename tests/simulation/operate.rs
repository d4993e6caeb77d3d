//! How faults begin and end, and how everything is healed.

use standin::cluster::{Event, GroupId, NodeId, Running, Shutdown, Time, Wish};

use super::chance::{Chance, ms, secs};
use super::ec2::Holder;
use super::faults::Fault;
use super::world::{Next, World};

impl World {
    pub(crate) fn begin(&mut self, at: usize) {
        if self.healed {
            return;
        }
        let planned = self.faults[at];
        self.tally.fault(planned.fault.name());
        self.checks.stir(self.now);
        self.say(format!("FAULT {at} {:?} for {:.1?}", planned.fault, planned.lasts));
        self.later(planned.lasts, Next::Ends(at));
        let now = self.now;
        match planned.fault {
            Fault::Network(scope, trouble) => self.net.trouble(at, scope, trouble),
            Fault::Cloud(node, illness) => self.ec2.fall_ill(at, node, illness),
            Fault::Replay(to) => self.later(ms(0), Next::Replays { to, until: now + planned.lasts }),
            Fault::Crash { node, forgets } => {
                let machine = self.machine(node);
                machine.end_process();
                if forgets {
                    for group in &mut machine.groups {
                        group.memory = standin::cluster::Memory::default();
                    }
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
                self.tell(node, Event::Asked(Wish::Maintenance(group, true)));
            }
            Fault::Moved(group, holder) => self.ec2.put(group, holder, now),
            Fault::InstanceStop { node, hard, gone } => self.stop_instance(node, hard, gone),
        }
    }

    pub(crate) fn end(&mut self, at: usize) {
        if self.healed {
            return;
        }
        let fault = self.faults[at].fault;
        self.checks.stir(self.now);
        self.say(format!("ends  {at} {fault:?}"));
        let now = self.now;
        match fault {
            Fault::Network(..) => self.net.clear(at),
            Fault::Cloud(..) => self.ec2.recover(at),
            Fault::Crash { node, .. } => self.start(node),
            Fault::Stop(node) => match &mut self.machine(node).process {
                Some(process) if process.leaving => process.back_in = Some(ms(100)),
                Some(_) | None => self.start(node),
            },
            Fault::Unfit(node, group) => self.set_fit(node, group, true),
            Fault::Unable(node, group) => self.set_able(node, group, true),
            Fault::Standby(node, group) => self.set_standby(node, group, false),
            Fault::Maintenance(node, group) => {
                self.tell(node, Event::Asked(Wish::Maintenance(group, false)));
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
            | Fault::Moved(..) => {}
        }
    }

    fn shut_down(&mut self, node: NodeId, how: Shutdown, back_in: Option<std::time::Duration>) {
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
        if self.healed {
            return;
        }
        let now = self.now;
        self.checks.stir(now);
        let machine = self.machine(node);
        machine.power_off();
        if gone {
            for group in &mut machine.groups {
                group.memory = standin::cluster::Memory::default();
            }
        }
        self.ec2.set_instance(node, Running::No, gone, now);
        self.say(format!("node {}: its instance is {}", node.0, if gone { "terminated" } else { "stopped" }));
    }

    fn boot(&mut self, node: NodeId) {
        let now = self.now;
        self.ec2.set_instance(node, Running::Yes, false, now);
        if !self.machine(node).up {
            let mut random = self.random.clone();
            self.random.next();
            self.machine(node).boot(now, &mut random);
            let after = if self.healed { ms(1) } else { self.random.between(secs(1), secs(20)) };
            self.later(after, Next::Starts(node));
        }
    }

    /// Everything is mended; the operator's wishes are taken back once all can hear it.
    pub(crate) fn heal(&mut self, step: u32) {
        self.healed = true;
        if step == 0 {
            self.say("HEALED".into());
            self.net.clear_all();
            self.ec2.recover_all();
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
                if self.machine(node).groups[usize::from(group.0)].memory.maintenance.on {
                    self.tell(node, Event::Asked(Wish::Maintenance(group, false)));
                }
            }
        }
        if step < 3 {
            return self.later(secs(2), Next::Heals(step + 1));
        }
        let from = self.now.max(self.last_landing);
        self.quiet_from = Some(from);
        self.say(format!("QUIET from {:.1} s", from.since(Time::ZERO).as_secs_f64()));
    }

    fn heal_node(&mut self, node: NodeId) {
        let now = self.now;
        let machine = self.machine(node);
        if machine.frozen(now) {
            machine.frozen_until = now;
            self.thaw(node);
        }
        self.boot(node);
        self.start(node);
        for group in (0..self.topology.groups).map(GroupId) {
            self.set_fit(node, group, true);
            self.set_able(node, group, true);
        }
    }
}
