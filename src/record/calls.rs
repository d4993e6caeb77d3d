//! Which answer belongs to which question, in a replay.
//!
//! The core numbers its calls. A core that asks once more than the recorded one did numbers all later calls
//! otherwise; so a recorded answer is given to the call that was made in the same turn as the recorded one, and
//! reads that were not recorded get the answer of the next one that was.

use std::time::Duration;

use crate::cluster::{Command, Event, GroupId, NodeId, Time};

/// What a call is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Anchor(GroupId),
    Instance(NodeId),
    Take(GroupId),
    Fence(GroupId),
    Recover(NodeId),
    Probe(GroupId),
    ReadLease(GroupId),
    WriteLease(GroupId),
    Converge(GroupId),
}

/// The heart may take in several inputs before it carries out what they led to: a call is recorded within this after
/// the input that led to it, and other inputs may stand between the two.
const TURN: Duration = Duration::from_millis(100);

/// So many calls without an answer are kept in mind; of a superseded wish there never is one.
const KEPT: usize = 64;

/// The calls of the replayed core that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Vec<Open>,
    /// The recorded calls that have no answer yet.
    recorded: Vec<(Kind, u64)>,
    /// Recorded answers to calls that the replayed core has not made yet.
    spare: Vec<(Kind, Event)>,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    number: u64,
    sent: Time,
    /// The number of the same call in the recording.
    recorded: Option<u64>,
}

impl Calls {
    /// The replayed core wants this.
    pub(super) fn wanted(&mut self, command: &Command, at: Time) {
        if let Some((kind, number)) = asked(command) {
            self.open.push(Open { kind, number, sent: at, recorded: None });
            self.open.drain(..self.open.len().saturating_sub(KEPT));
        }
    }

    /// The recorded core wanted this.
    pub(super) fn recorded(&mut self, command: &Command, at: Time) {
        let Some((kind, number)) = asked(command) else { return };
        self.recorded.push((kind, number));
        self.recorded.drain(..self.recorded.len().saturating_sub(KEPT));
        let same = |open: &&mut Open| {
            open.kind == kind && open.sent <= at && at.since(open.sent) < TURN && open.recorded.is_none()
        };
        if let Some(open) = self.open.iter_mut().find(same) {
            open.recorded = Some(number);
        }
    }

    /// The inputs that this recorded input stands for.
    pub(super) fn inputs(&mut self, event: Event, now: Time) -> Vec<Event> {
        let mut inputs = self.late_answers();
        let call = answered(&event);
        let Some(at) = self.recorded.iter().position(|it| Some(*it) == call) else {
            // No answer, or that to a call made before the segment began: the core has had it from the header.
            inputs.push(event);
            return inputs;
        };
        let (kind, number) = self.recorded.remove(at);
        let place = |open: &mut Vec<Open>, recorded: Option<u64>| {
            let at = open.iter().position(|open| open.kind == kind && open.recorded == recorded)?;
            Some(open.remove(at).number)
        };
        match place(&mut self.open, Some(number)).or_else(|| place(&mut self.open, None)) {
            Some(number) => inputs.push(numbered(event.clone(), number)),
            None => {
                self.spare.retain(|(it, _)| *it != kind);
                self.spare.push((kind, event.clone()));
            }
        }
        if kind.is_read() {
            // Asked so long ago that the recorded core has not: any answer will do.
            let unrecorded =
                |open: &Open| open.kind == kind && open.recorded.is_none() && now.since(open.sent) >= TURN;
            for open in self.open.extract_if(.., |open| unrecorded(open)) {
                inputs.push(numbered(event.clone(), open.number));
            }
        }
        inputs
    }

    /// Answers that came before their question, as the replayed core was later than the recorded one.
    fn late_answers(&mut self) -> Vec<Event> {
        let mut inputs = Vec::new();
        for (kind, event) in std::mem::take(&mut self.spare) {
            match self.open.iter().position(|open| open.kind == kind && open.recorded.is_none()) {
                Some(at) => inputs.push(numbered(event, self.open.remove(at).number)),
                None => self.spare.push((kind, event)),
            }
        }
        inputs
    }
}

impl Kind {
    /// Whether asking changes nothing, so that one answer serves for any number of questions.
    fn is_read(self) -> bool {
        match self {
            Self::Anchor(_) | Self::Instance(_) | Self::Probe(_) | Self::ReadLease(_) => true,
            Self::Take(_) | Self::Fence(_) | Self::Recover(_) | Self::WriteLease(_) | Self::Converge(_) => {
                false
            }
        }
    }
}

fn asked(command: &Command) -> Option<(Kind, u64)> {
    match *command {
        Command::ReadAnchor { group, call } => Some((Kind::Anchor(group), call)),
        Command::ReadInstance { node, call } => Some((Kind::Instance(node), call)),
        Command::TakeAnchor { group, call, .. } => Some((Kind::Take(group), call)),
        Command::Fence { group, call, .. } => Some((Kind::Fence(group), call)),
        Command::Recover { node, call, .. } => Some((Kind::Recover(node), call)),
        Command::Probe { group, call } => Some((Kind::Probe(group), call)),
        Command::ReadLease { group, call } => Some((Kind::ReadLease(group), call)),
        Command::WriteLease { group, call, .. } => Some((Kind::WriteLease(group), call)),
        Command::Converge { group, change, .. } => Some((Kind::Converge(group), change)),
        Command::Send(_)
        | Command::WriteCounter { .. }
        | Command::WriteOwnTag { .. }
        | Command::Guard { .. }
        | Command::Store { .. }
        | Command::Tell(_)
        | Command::Exit => None,
    }
}

fn answered(event: &Event) -> Option<(Kind, u64)> {
    match *event {
        Event::AnchorRead { group, call, .. } => Some((Kind::Anchor(group), call)),
        Event::InstanceRead { node, call, .. } => Some((Kind::Instance(node), call)),
        Event::TakeAnswered { group, call, .. } => Some((Kind::Take(group), call)),
        Event::Fenced { group, call, .. } => Some((Kind::Fence(group), call)),
        Event::Recovered { node, call, .. } => Some((Kind::Recover(node), call)),
        Event::Probed { group, call, .. } => Some((Kind::Probe(group), call)),
        Event::LeaseRead { group, call, .. } => Some((Kind::ReadLease(group), call)),
        Event::LeaseWritten { group, call, .. } => Some((Kind::WriteLease(group), call)),
        Event::Converged { group, change } => Some((Kind::Converge(group), change)),
        Event::Ticked
        | Event::HeartbeatReceived(_)
        | Event::DatagramRefused { .. }
        | Event::CounterWritten { .. }
        | Event::OwnTagWritten { .. }
        | Event::IdentityLearned { .. }
        | Event::AbilityChanged { .. }
        | Event::ServiceChanged { .. }
        | Event::ServiceFailed { .. }
        | Event::Counted { .. }
        | Event::Asked(_)
        | Event::ShutdownAsked(_) => None,
    }
}

fn numbered(mut event: Event, number: u64) -> Event {
    match &mut event {
        Event::AnchorRead { call, .. }
        | Event::InstanceRead { call, .. }
        | Event::TakeAnswered { call, .. }
        | Event::Fenced { call, .. }
        | Event::Recovered { call, .. }
        | Event::Probed { call, .. }
        | Event::LeaseRead { call, .. }
        | Event::LeaseWritten { call, .. }
        | Event::Converged { change: call, .. } => *call = number,
        Event::Ticked
        | Event::HeartbeatReceived(_)
        | Event::DatagramRefused { .. }
        | Event::CounterWritten { .. }
        | Event::OwnTagWritten { .. }
        | Event::IdentityLearned { .. }
        | Event::AbilityChanged { .. }
        | Event::ServiceChanged { .. }
        | Event::ServiceFailed { .. }
        | Event::Counted { .. }
        | Event::Asked(_)
        | Event::ShutdownAsked(_) => {}
    }
    event
}
