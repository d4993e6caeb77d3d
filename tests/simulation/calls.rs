//! A node's calls to EC2: sent, carried out, answered; each of the three may fail.

use std::time::Duration;

use standin::cluster::{Counter, Event, Failure, GroupId, NodeId, TakeFrom, Time};

use super::check::Judgement;
use super::world::{CALL_TIMEOUT, Next, World};

/// A call to EC2.
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
    Anchor { group: GroupId, call: u64 },
    Instance { node: NodeId, call: u64 },
    Take { group: GroupId, call: u64, from: TakeFrom },
    Counter { group: GroupId, counter: Counter },
    OwnTag { group: GroupId },
}

impl Asks {
    const fn writes(self) -> bool {
        match self {
            Self::Anchor { .. } | Self::Instance { .. } => false,
            Self::Take { .. } | Self::Counter { .. } | Self::OwnTag { .. } => true,
        }
    }

    const fn failed(self, why: Failure) -> Event {
        match self {
            Self::Anchor { group, call } => Event::AnchorRead { group, call, answer: Err(why) },
            Self::Instance { node, call } => Event::InstanceRead { node, call, answer: Err(why) },
            Self::Take { group, call, .. } => Event::TakeAnswered { group, call, answer: Err(why) },
            Self::Counter { group, .. } => Event::CounterWritten { group, ok: false },
            Self::OwnTag { group } => Event::OwnTagWritten { group, ok: false },
        }
    }
}

impl World {
    pub(crate) fn call(&mut self, by: NodeId, asks: Asks) {
        let fate = self.ec2.fate(by, asks.writes(), &mut self.random);
        let life = self.machine(by).life;
        let judgement = match asks {
            Asks::Take { group, .. } => Some(self.judge(by, group)),
            Asks::Anchor { .. } | Asks::Instance { .. } | Asks::Counter { .. } | Asks::OwnTag { .. } => None,
        };
        self.tally.calls += 1;
        self.checks.count_call(by, self.now);
        if let Some(why) = fate.fails {
            let after = fate.answer_takes.unwrap_or(CALL_TIMEOUT);
            self.later(after, Next::Answered { node: by, life, event: asks.failed(why) });
            return;
        }
        let acts = fate.acts_after;
        let in_time = acts.zip(fate.answer_takes).is_some_and(|(there, back)| there + back < CALL_TIMEOUT);
        let answer_takes = fate.answer_takes.filter(|_| in_time);
        if answer_takes.is_none() {
            let event = asks.failed(Failure::NoAnswer);
            self.later(CALL_TIMEOUT, Next::Answered { node: by, life, event });
        }
        if let Some(after) = acts {
            if asks.writes() {
                self.last_landing = self.last_landing.max(self.now + after);
            }
            let call = Call { by, life, sent: self.now, answer_takes, asks, judgement };
            self.later(after, Next::Acts(Box::new(call)));
        }
    }

    pub(crate) fn acts(&mut self, call: Call) {
        let (by, now) = (call.by, self.now);
        let event = match call.asks {
            Asks::Anchor { group, call } => {
                let answer = Ok(self.ec2.read_anchor(by, group, now, &mut self.random));
                Event::AnchorRead { group, call, answer }
            }
            Asks::Instance { node, call } => {
                let answer = Ok(Some(self.ec2.read_instance(by, node, now, &mut self.random)));
                Event::InstanceRead { node, call, answer }
            }
            Asks::Take { group, call: number, from } => {
                let before = self.ec2.anchors[usize::from(group.0)].holder.now();
                let answer = self.ec2.take(by, group, from, now);
                let late = now.since(call.sent) >= CALL_TIMEOUT;
                let text = if late { ", late" } else { "" };
                self.say(format!(
                    "EC2: take {number} of node {} for group {}: {answer:?}{text}",
                    by.0, group.0
                ));
                if let (Ok(true), Some(judgement)) = (answer, call.judgement) {
                    self.taken(by, group, before, judgement, late);
                }
                Event::TakeAnswered { group, call: number, answer: answer.map(|_| ()) }
            }
            Asks::Counter { group, counter } => {
                self.ec2.write_counter(group, counter, now);
                Event::CounterWritten { group, ok: true }
            }
            Asks::OwnTag { group } => Event::OwnTagWritten { group, ok: true },
        };
        if let Some(after) = call.answer_takes {
            self.later(after, Next::Answered { node: by, life: call.life, event });
        }
    }
}
