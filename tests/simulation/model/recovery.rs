//! RebootInstances, and StopInstances and StartInstances as a restart: what becomes of the machine.

use standin::cluster::{Failure, NodeId, Remedy, Running, Shutdown, Time};

use super::service::name;
use crate::chance::{Chance, ms, secs};
use crate::world::{Next, World};

impl World {
    /// A call to bring a node's instance back reaches EC2.
    pub(super) fn recovers(
        &mut self,
        by: NodeId,
        node: NodeId,
        remedy: Remedy,
        sent: Time,
    ) -> Result<(), Failure> {
        let (at, now) = (usize::from(node.0), self.now);
        let running = self.ec2.instances[at].now();
        match (remedy, running) {
            (Remedy::Reboot, Running::Yes) => {
                // Now and then its system has time to shut down.
                let graceful = self.random.chance(500);
                if graceful {
                    self.shut_down(node, Shutdown::Stop, None);
                }
                let after = if graceful { self.random.between(ms(100), secs(9)) } else { ms(100) };
                self.later(after, Next::Reboots(node));
            }
            (Remedy::Stop, Running::Yes | Running::Ending) if self.ec2.protected[at] => {
                return Err(Failure::Refused);
            }
            (Remedy::Stop, Running::Yes) => {
                self.ec2.set_instance(node, Running::Ending, false, now);
                let after = self.random.spread(secs(2), secs(40));
                self.later(after, Next::PowersOff { node, gone: false });
            }
            (Remedy::Start, Running::No) => self.boot(node),
            (Remedy::Stop, Running::Ending | Running::No) | (Remedy::Start, Running::Yes) => return Ok(()),
            (Remedy::Reboot, Running::Ending | Running::No) | (Remedy::Start, Running::Ending) => {
                return Err(Failure::Passing);
            }
        }
        self.tally.recovered += 1;
        self.say(|| format!("EC2: {} has {} recovered: {remedy:?}", name(by), name(node)));
        self.recovery_landed(by, node, remedy, sent);
        Ok(())
    }

    /// The instance goes down, and up again; to EC2 it runs all the while.
    pub(crate) fn reboots(&mut self, node: NodeId) {
        if self.ec2.instances[usize::from(node.0)].now() != Running::Yes || !self.machine(node).up {
            return;
        }
        self.checks.stir(self.now);
        self.machine(node).power_off();
        let after = self.random.between(secs(20), secs(60));
        self.later(if self.healed { ms(100) } else { after }, Next::Rebooted(node));
    }

    pub(crate) fn rebooted(&mut self, node: NodeId) {
        let now = self.now;
        if self.ec2.instances[usize::from(node.0)].now() != Running::Yes || self.machine(node).up {
            return;
        }
        self.checks.stir(now);
        let mut random = self.random.clone();
        self.random.next();
        self.machine(node).boot(now, &mut random);
        self.start(node);
    }
}
