//! Taking the anchor: who may, when, and what becomes of the call.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::anchor::Owner;
use super::super::command::{Command, TakeFrom};
use super::super::decision::{Row, View};
use super::super::event::Failure;
use super::super::heartbeat::Role;
use super::super::node::NodeId;
use super::super::notice::Level;
use super::super::random::Random;
use super::super::time::Time;
use super::knowledge::Change;
use super::lease::Purpose;
use super::{Context, Group, Outbox};

/// How many takeovers by silence an hour sees (damping).
const SILENT_TAKES: usize = 6;
const HOUR: Duration = Duration::from_secs(3600);
/// How long a heard active node goes first when the anchor is with nobody.
pub(super) const ACTIVE_FIRST: Duration = Duration::from_secs(15);

/// So many conflicts, over more than [`SETTLE`](super::super::settings::SETTLE), while EC2 says that nobody
/// holds the anchor, are no race: something else is in the way.
pub(super) const CONFLICTS: u32 = 3;

/// What stands between a wish to take and the call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Gate {
    /// This node could not serve.
    NotEligible(String),
    /// No read of the anchor that was sent less than 30 s ago was answered (less than 5 s, while a heard
    /// active node may take it back).
    NoRead,
    /// Another node goes first, until then.
    Step(Time),
    /// Six takeovers by silence within an hour: silence is disarmed.
    Damped,
    /// A call failed; the next one is sent then.
    BackOff(Time),
    /// A call is under way.
    UnderWay,
    /// Fencing is wanted, and this node may not fence.
    Unwell(String),
    /// EC2 has been asked to stop the old active, and has not said yet that it has stopped.
    Fencing(NodeId),
    /// The old active could not be stopped, and `when-fencing-fails` is "hold".
    FencingFailed(NodeId),
}

impl Gate {
    /// Until when it holds, where time alone opens it.
    pub const fn until(&self) -> Option<Time> {
        match self {
            Self::Step(at) | Self::BackOff(at) => Some(*at),
            Self::NotEligible(_)
            | Self::NoRead
            | Self::Damped
            | Self::UnderWay
            | Self::Unwell(_)
            | Self::Fencing(_)
            | Self::FencingFailed(_) => None,
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEligible(why) => write!(f, "this node is not eligible: {why}"),
            Self::NoRead => f.write_str("EC2 has not said lately enough who holds the anchor"),
            Self::Step(_) => f.write_str("another node goes first"),
            Self::Damped => {
                f.write_str("six takeovers by silence in the last hour: silence no longer counts")
            }
            Self::BackOff(_) => f.write_str("the last call failed; it will be repeated"),
            Self::UnderWay => f.write_str("the call is under way"),
            Self::Unwell(why) => write!(f, "this node must not fence: {why}"),
            Self::Fencing(node) => write!(f, "waiting until EC2 says that {{node {}}} has stopped", node.0),
            Self::FencingFailed(node) => write!(f, "{{node {}}} could not be fenced", node.0),
        }
    }
}

/// The calls that take.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Take {
    pub(super) under_way: Option<Call>,
    pub(super) failures: u32,
    pub(super) retry_at: Time,
    /// Since when a take is wanted without a break, and from whom.
    pub(super) wanted: Option<(Owner, Time)>,
    pub(super) by_silence: VecDeque<Time>,
    pub(super) contest: Option<Contest>,
}

/// Calls that took from nobody, and came second, while EC2 said that nobody holds the anchor.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Contest {
    pub(super) count: u32,
    pub(super) first: Time,
    pub(super) last: Time,
}

/// A call under way.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Call {
    pub(super) number: u64,
    pub(super) sent: Time,
    pub(super) row: Row,
    pub(super) from: TakeFrom,
}

impl Take {
    pub(super) fn want(&mut self, from: Option<Owner>, now: Time) -> Time {
        match (self.wanted, from) {
            (Some((owner, since)), Some(from)) if owner == from => since,
            (_, Some(from)) => {
                self.wanted = Some((from, now));
                now
            }
            (_, None) => {
                self.wanted = None;
                now
            }
        }
    }

    /// Whether silence has moved the group too often.
    pub(super) fn damped(&mut self, now: Time) -> bool {
        while self.by_silence.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.by_silence.pop_front();
        }
        self.by_silence.len() >= SILENT_TAKES
    }

    pub(super) fn sent(&mut self, number: u64, row: Row, from: TakeFrom, now: Time) {
        self.under_way = Some(Call { number, sent: now, row, from });
    }

    /// The call failed: when the next one may go.
    pub(super) fn failed(&mut self, failure: Failure, random: &mut Random, now: Time) {
        self.failures = self.failures.saturating_add(1);
        let doubled = 100u64 << self.failures.min(6).saturating_sub(1);
        let wait = match failure {
            Failure::Refused => 10_000,
            Failure::Conflict => 1000,
            Failure::Passing => doubled.min(5000),
            Failure::NoAnswer => doubled.saturating_sub(100).min(5000),
        };
        self.retry_at = now + random.wait(wait);
    }

    /// Somebody was faster, or something is in the way.
    pub(super) fn conflicted(&mut self, now: Time) {
        let begun = self.contest.unwrap_or(Contest { count: 0, first: now, last: now });
        self.contest = Some(Contest { count: begun.count.saturating_add(1), last: now, ..begun });
    }

    /// We are active, or not any more: calls begin anew.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.retry_at = Time::ZERO;
        self.wanted = None;
        self.contest = None;
    }
}

/// What a decision to take needs to know about those who could go first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rival {
    pub(super) heard: bool,
    pub(super) ever_heard: bool,
    pub(super) eligible: bool,
    pub(super) active: bool,
}

/// When my step comes: each eligible node that is heard before me has one dead-after; a preferred one that
/// was never heard has first-dead-after from my start; with a free anchor a heard active node has 15 s.
pub(super) fn step(
    row: Row,
    preferred: impl Iterator<Item = Rival>,
    all: impl Iterator<Item = Rival>,
    since: Time,
    dead_after: Duration,
    first_over: Time,
    active_first: Duration,
) -> Time {
    let mut at = since;
    for rival in preferred {
        if rival.heard && rival.eligible {
            at += dead_after;
        } else if !rival.ever_heard {
            at = at.max(first_over);
        }
    }
    if row == Row::Free && all.into_iter().any(|rival| rival.heard && rival.active) {
        at = at.max(since + active_first);
    }
    at
}

impl Group {
    /// Takes, if nothing holds it back.
    pub(super) fn try_take(
        &mut self,
        row: Row,
        owner: Option<Owner>,
        from: TakeFrom,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        let since = self.take.want(owner, cx.now);
        let gate = if self.role == Role::Active {
            self.call_gate(cx)
        } else {
            self.gate(row, since, cx).or_else(|| self.fence_gate(row, since, cx, out))
        };
        if gate.is_none() {
            return self.take_now(row, from, cx, out);
        }
        if gate == Some(Gate::Damped) && self.gate != gate {
            self.alarm("damped", "six takeovers by silence within an hour: silence no longer moves the group; find out why; the oldest of the six is forgotten after an hour", cx, out);
        }
        self.gate = gate;
    }

    /// Sends the call: for the lease, where there is one, else for the anchor.
    fn take_now(&mut self, row: Row, from: TakeFrom, cx: &Context<'_>, out: &mut Outbox) {
        if let Some(heard) = self.heard_offer.filter(|_| row == Row::Offered) {
            self.accepted = Some((heard.from, heard.id));
            out.urgent = true;
        }
        self.gate = Some(Gate::UnderWay);
        if self.lease.is_some() {
            let term = self.newest_term(cx).saturating_add(1);
            let Some(lease) = &mut self.lease else { return };
            return lease.begin(Purpose::Take(row), term, cx.now);
        }
        let call = out.call();
        self.take.sent(call, row, from, cx.now);
        out.commands.push_back(Command::TakeAnchor { group: self.id, call, from });
    }

    /// `takeover --force`: takes past the table and the GATE, for as long as the wish lasts. Whether this node can
    /// serve at all is still asked. Answers whether the wish was what counted.
    pub(super) fn forced(&mut self, view: &View, cx: &Context<'_>, out: &mut Outbox) -> bool {
        let wanted = self.forced.is_some_and(|until| cx.now < until);
        if !wanted || self.role == Role::Active || view.maintenance || view.anchor == Some(Owner::Mine) {
            return false;
        }
        if self.is_leased(cx) && !view.holder.offers && !view.holder.proof {
            // Not even an operator makes two of them run.
            return false;
        }
        if self.able.is_err() || !view.fit || self.call_gate(cx).is_some() {
            return true;
        }
        let from = if view.anchor == Some(Owner::Nobody) { TakeFrom::Nobody } else { TakeFrom::Anyone };
        let text = "an operator forces the takeover: it is taken from whoever holds it".to_owned();
        self.tell(Level::Alarm, "forced", text, cx, out);
        // The row of operators: it counts for no damping.
        self.take_now(Row::Stranger, from, cx, out);
        true
    }

    /// A take was answered.
    pub(in super::super) fn take_answered(
        &mut self,
        call: u64,
        answer: Result<(), Failure>,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        let Some(under_way) = self.take.under_way.filter(|under_way| under_way.number == call) else {
            return;
        };
        self.take.under_way = None;
        self.accepted = None;
        match answer {
            // A call that was sent before the last thing that we learned proves nothing any more: ask.
            Ok(()) if self.knowledge.precedes_change(under_way.sent) => self.knowledge.ask_now(),
            Ok(()) => {
                self.take.reset();
                self.knowledge.changed(Change::OwnTake, cx.now);
                if under_way.row == Row::Silent || under_way.row == Row::CounterAtRest {
                    self.remember_silent_take(under_way.row, cx, out);
                }
                if self.role == Role::Standby && !self.memory.maintenance.on && self.lease.is_none() {
                    self.become_active(under_way.row, "EC2 confirmed our take", cx, out);
                }
            }
            Err(failure) => {
                self.take.failed(failure, &mut out.random, cx.now);
                self.knowledge.ask_now();
                self.retakes.failed();
                match failure {
                    Failure::NoAnswer => self.knowledge.call_left_open(cx.now),
                    Failure::Refused => {
                        self.alarm("take-refused", "EC2 refuses to let this node take the anchor; the log names the call and the reason", cx, out);
                    }
                    Failure::Conflict if under_way.from == TakeFrom::Nobody => self.conflicted(cx, out),
                    Failure::Conflict | Failure::Passing => {}
                }
            }
        }
    }

    fn remember_silent_take(&mut self, row: Row, cx: &Context<'_>, out: &mut Outbox) {
        if row != Row::Silent {
            return;
        }
        self.take.by_silence.push_back(cx.now);
        self.take.damped(cx.now);
        self.memory.silent_takeovers = self.take.by_silence.iter().copied().collect();
        self.store(out);
    }
}

#[cfg(test)]
mod tests;
