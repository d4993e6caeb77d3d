//! A node's calls to EC2 and DynamoDB: sent, carried out, answered; each of the three may fail.

use std::time::Duration;

use standin::cluster::{Counter, Event, Failure, GroupId, Lease, NodeId, Remedy, Running, TakeFrom, Time};

use super::illness::Fate;
use super::service::name;
use crate::chance::{Chance, ms, secs};
use crate::check::takes::Judgement;
use crate::setup::CALL_TIMEOUT;
use crate::world::{Next, World};

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) by: NodeId,
    life: u32,
    pub(crate) sent: Time,
    answer_takes: Option<Duration>,
    asks: Asks,
    judgement: Option<Judgement>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asks {
    Anchor {
        group: GroupId,
        call: u64,
    },
    Instance {
        node: NodeId,
        call: u64,
    },
    Take {
        group: GroupId,
        call: u64,
        from: TakeFrom,
    },
    Counter {
        group: GroupId,
        counter: Counter,
    },
    OwnTag {
        group: GroupId,
    },
    Fence {
        group: GroupId,
        node: NodeId,
        call: u64,
    },
    Recover {
        node: NodeId,
        remedy: Remedy,
        call: u64,
    },
    ReadLease {
        group: GroupId,
        call: u64,
    },
    WriteLease {
        group: GroupId,
        call: u64,
        expect: Option<u64>,
        lease: Lease,
    },
    ReadRest {
        group: GroupId,
        change: u64,
    },
    TakeRest {
        group: GroupId,
    },
    /// Only a planted bug gives away; with `reread` it does not look whose it is.
    Release {
        group: GroupId,
        reread: bool,
    },
}

/// What comes back: to the core, or to the shell's care for the rest.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Core(Event),
    Rest { group: GroupId, change: u64, mine: Result<bool, Failure> },
    Nothing,
}

impl Asks {
    const fn writes(self) -> bool {
        match self {
            Self::Anchor { .. } | Self::Instance { .. } | Self::ReadLease { .. } | Self::ReadRest { .. } => {
                false
            }
            Self::Take { .. }
            | Self::Counter { .. }
            | Self::OwnTag { .. }
            | Self::Fence { .. }
            | Self::Recover { .. }
            | Self::WriteLease { .. }
            | Self::TakeRest { .. }
            | Self::Release { .. } => true,
        }
    }

    const fn of_lease(self) -> bool {
        matches!(self, Self::ReadLease { .. } | Self::WriteLease { .. })
    }

    const fn failed(self, why: Failure) -> Answer {
        Answer::Core(match self {
            Self::Anchor { group, call } => Event::AnchorRead { group, call, answer: Err(why) },
            Self::Instance { node, call } => Event::InstanceRead { node, call, answer: Err(why) },
            Self::Take { group, call, .. } => Event::TakeAnswered { group, call, answer: Err(why) },
            Self::Counter { group, .. } => Event::CounterWritten { group, ok: false },
            Self::OwnTag { group } => Event::OwnTagWritten { group, ok: false },
            Self::Fence { group, node, call } => Event::Fenced { group, node, call, answer: Err(why) },
            Self::Recover { node, call, .. } => Event::Recovered { node, call, answer: Err(why) },
            Self::ReadLease { group, call } => Event::LeaseRead { group, call, answer: Err(why) },
            Self::WriteLease { group, call, .. } => Event::LeaseWritten { group, call, answer: Err(why) },
            Self::ReadRest { group, change } => return Answer::Rest { group, change, mine: Err(why) },
            Self::TakeRest { .. } | Self::Release { .. } => return Answer::Nothing,
        })
    }
}

impl World {
    pub(crate) fn call(&mut self, by: NodeId, asks: Asks) {
        let Fate { acts_after, answer_takes, fails } = if asks.of_lease() {
            self.dynamo.fate(by, asks.writes())
        } else {
            self.ec2.fate(by, asks.writes())
        };
        let life = self.machine(by).life;
        let judgement = if let Asks::Take { group, .. } = asks { Some(self.judge(by, group)) } else { None };
        self.tally.calls += 1;
        if !asks.of_lease() {
            self.count_call(by);
        }
        if let Some(why) = fails {
            let after = answer_takes.unwrap_or(CALL_TIMEOUT);
            return self.later(after, Next::Answered { node: by, life, answer: asks.failed(why) });
        }
        let in_time = acts_after.zip(answer_takes).is_some_and(|(there, back)| there + back < CALL_TIMEOUT);
        let answer_takes = answer_takes.filter(|_| in_time);
        if answer_takes.is_none() {
            let answer = asks.failed(Failure::NoAnswer);
            self.later(CALL_TIMEOUT, Next::Answered { node: by, life, answer });
        }
        if let Some(after) = acts_after {
            if asks.writes() && !self.healed {
                self.last_landing = self.last_landing.max(self.now + after);
            }
            let call = Call { by, life, sent: self.now, answer_takes, asks, judgement };
            self.later(after, Next::Acts(Box::new(call)));
        }
    }

    pub(crate) fn acts(&mut self, call: Call) {
        let (by, now, nobody) = (call.by, self.now, self.with_nobody());
        let event = match call.asks {
            Asks::Anchor { group, call } => {
                let answer = Ok(self.ec2.read_anchor(by, group, now));
                Event::AnchorRead { group, call, answer }
            }
            Asks::Instance { node, call } => {
                let answer = Ok(Some(self.ec2.read_instance(by, node, now)));
                Event::InstanceRead { node, call, answer }
            }
            Asks::Take { group, call: number, from } => self.acts_take(&call, group, number, from),
            Asks::Counter { group, counter } => {
                self.ec2.write_counter(group, counter, now);
                Event::CounterWritten { group, ok: true }
            }
            Asks::OwnTag { group } => Event::OwnTagWritten { group, ok: true },
            Asks::Fence { group, node, call } => {
                let answer = self.fences(by, node);
                Event::Fenced { group, node, call, answer }
            }
            Asks::Recover { node, remedy, call: number } => {
                let answer = self.recovers(by, node, remedy, call.sent);
                Event::Recovered { node, call: number, answer }
            }
            Asks::ReadLease { group, call } => {
                Event::LeaseRead { group, call, answer: Ok(self.dynamo.read(group)) }
            }
            Asks::WriteLease { group, call, expect, lease } => {
                let answer = self.dynamo.write(group, expect, lease, now);
                if let Ok(before) = answer
                    && before != lease.owner
                {
                    self.say(|| {
                        format!("DynamoDB: the lease of group {} is now with {:?}", group.0, lease.owner)
                    });
                    self.check_lease_moved(by, group, before, lease.owner);
                }
                Event::LeaseWritten { group, call, answer: answer.map(|_| ()) }
            }
            Asks::ReadRest { .. } | Asks::TakeRest { .. } | Asks::Release { .. } => {
                return self.acts_rest(call);
            }
        };
        self.check_nobody(by, nobody);
        if let Some(after) = call.answer_takes {
            self.later(after, Next::Answered { node: by, life: call.life, answer: Answer::Core(event) });
        }
    }

    fn acts_rest(&mut self, call: Call) {
        let (by, now, nobody) = (call.by, self.now, self.with_nobody());
        let mut answer = Answer::Nothing;
        if let Asks::ReadRest { group, change } = call.asks {
            answer = Answer::Rest { group, change, mine: Ok(self.ec2.read_rest(by, group, now)) };
        }
        if let Asks::TakeRest { group } = call.asks {
            self.ec2.take_rest(by, group, now);
        }
        if let Asks::Release { group, reread } = call.asks {
            self.ec2.release(by, group, reread, now);
        }
        self.check_nobody(by, nobody);
        if let Some(after) = call.answer_takes {
            self.later(after, Next::Answered { node: by, life: call.life, answer });
        }
    }

    fn acts_take(&mut self, call: &Call, group: GroupId, number: u64, from: TakeFrom) -> Event {
        let (by, now) = (call.by, self.now);
        let before = self.ec2.anchors[usize::from(group.0)].holder.now();
        let answer = self.ec2.take(by, group, from, now);
        let late = now.since(call.sent) >= CALL_TIMEOUT;
        self.say(|| {
            let text = if late { ", late" } else { "" };
            format!("EC2: take {number} of {} for group {}: {answer:?}{text}", name(by), group.0)
        });
        if let (Ok(true), Some(judgement)) = (answer, call.judgement) {
            self.taken(by, group, before, judgement, late);
        }
        Event::TakeAnswered { group, call: number, answer: answer.map(|_| ()) }
    }

    /// StopInstances with Force and SkipOsShutdown: it runs on for a while, and then is off.
    fn fences(&mut self, by: NodeId, node: NodeId) -> Result<(), Failure> {
        let at = usize::from(node.0);
        let running = self.ec2.instances[at].now();
        if self.ec2.protected[at] {
            return Err(Failure::Refused);
        }
        if running == Running::Yes {
            self.tally.fenced += 1;
            self.say(|| format!("EC2: {} has {} stopped", name(by), name(node)));
            let now = self.now;
            self.ec2.set_instance(node, Running::Ending, false, now);
            let after = self.random.spread(secs(2), secs(40));
            self.later(after, Next::PowersOff { node, gone: false });
            // Somebody starts it again.
            let back = self.random.spread(secs(5), secs(120));
            self.later(after + back, Next::Boots(node));
        }
        Ok(())
    }

    /// A probe, as a caller would: it is answered if who holds the address serves, and the way there is free.
    pub(crate) fn probe(&mut self, by: NodeId, group: GroupId, call: u64) {
        let answered = self.probe_answers(by, group) && !self.random.chance(5);
        let takes = if answered { self.random.between(ms(1), ms(60)) } else { secs(1) };
        let life = self.machine(by).life;
        let event = Event::Probed { group, call, answered };
        self.later(takes, Next::Answered { node: by, life, answer: Answer::Core(event) });
    }
}
