//! The events of a recording, in sentences. Only what is news: a read that says what the one before it said is
//! none.

use super::words;
use crate::agent::names::Names;
use crate::cluster::{
    Command, Event, Failure, GroupId, NodeId, Owner, Running, ServiceFailure, Shutdown, TakeFrom, Wish,
};
use crate::record::Line;

/// Turns lines into sentences.
#[derive(Debug)]
pub(super) struct Events<'a> {
    names: &'a Names,
    me: NodeId,
    /// What EC2 last said of each anchor, and of each instance.
    anchors: Vec<(GroupId, Result<Owner, Failure>)>,
    instances: Vec<(NodeId, Result<Option<Running>, Failure>)>,
}

/// One sentence, and what it is about.
pub(super) type Sentence = (Option<GroupId>, String);

impl<'a> Events<'a> {
    pub(super) fn new(names: &'a Names, me: NodeId) -> Self {
        Self { names, me, anchors: Vec::new(), instances: Vec::new() }
    }

    /// What this line says, if it is news.
    pub(super) fn sentence(&mut self, line: &Line) -> Option<Sentence> {
        match line {
            Line::Input(_, event) | Line::Stalled(_, event) => self.input(event),
            Line::Command(_, command) => self.command(command),
            Line::Told(_, told) => Some((told.group, self.names.text(&told.text))),
            Line::Gap(_) => Some((None, "from here on inputs are missing in the recording".to_owned())),
            // Notices say it in words.
            Line::Decided(..) | Line::Begin(_) | Line::Tick(_) | Line::Beat(..) => None,
        }
    }

    fn input(&mut self, event: &Event) -> Option<Sentence> {
        let node = |node: &NodeId| self.names.node(*node);
        let (group, text) = match event {
            Event::AnchorRead { group, answer, .. } => {
                let answer = answer.map(|read| read.owner);
                return self.anchor(*group, answer).map(|text| (Some(*group), text));
            }
            Event::InstanceRead { node, answer, .. } => {
                return self.instance(*node, *answer).map(|text| (None, text));
            }
            Event::TakeAnswered { group, answer: Ok(()), .. } => {
                (group, "EC2 answered: the anchor is taken".to_owned())
            }
            Event::TakeAnswered { group, answer: Err(why), .. } => {
                (group, format!("the take failed: {}", failed(*why)))
            }
            Event::CounterWritten { group, ok: false } => (group, "EC2 did not take the counter".to_owned()),
            Event::OwnTagWritten { group, ok: false } => {
                (group, "EC2 did not take this node's tag".to_owned())
            }
            Event::Fenced { group, node: whom, answer: Ok(()), .. } => {
                (group, format!("EC2 has accepted to stop {}", node(whom)))
            }
            Event::Fenced { group, node: whom, answer: Err(why), .. } => {
                (group, format!("{} was not stopped: {}", node(whom), failed(*why)))
            }
            Event::Recovered { node: whom, answer, .. } => {
                return Some((None, recovered(node(whom), *answer)));
            }
            Event::Probed { group, answered: true, .. } => {
                (group, "the service answered the probe".to_owned())
            }
            Event::Probed { group, .. } => (group, "the service did not answer the probe".to_owned()),
            Event::LeaseRead { group, answer: Err(why), .. } => {
                (group, format!("the lease could not be read: {}", failed(*why)))
            }
            Event::LeaseWritten { group, answer: Err(why), .. } => {
                (group, format!("the lease was not written: {}", failed(*why)))
            }
            Event::AbilityChanged { group, able: Ok(()) } => {
                (group, "this node has what it needs to serve".to_owned())
            }
            Event::AbilityChanged { group, able: Err(why) } => {
                (group, format!("this node could not serve: {}", self.names.text(why)))
            }
            Event::ServiceChanged { group, fit: true } => (group, "the service is fit here".to_owned()),
            Event::ServiceChanged { group, .. } => (group, "the service has failed here for good".to_owned()),
            Event::ServiceFailed { group, how: ServiceFailure::Running } => {
                (group, "the service has failed here".to_owned())
            }
            Event::ServiceFailed { group, how: ServiceFailure::Start } => {
                (group, "the service did not start here".to_owned())
            }
            Event::Asked(wish) => return Some(self.wish(wish)),
            Event::IdentityLearned { instance, .. } => {
                return Some((None, format!("this node is instance {instance}")));
            }
            Event::ShutdownAsked(how) => return Some((None, shutdown(*how).to_owned())),
            Event::Ticked
            | Event::HeartbeatReceived(_)
            | Event::DatagramRefused { .. }
            | Event::CounterWritten { .. }
            | Event::OwnTagWritten { .. }
            | Event::Counted { .. }
            | Event::LeaseRead { .. }
            | Event::LeaseWritten { .. }
            | Event::Converged { .. } => return None,
        };
        Some((Some(*group), text))
    }

    fn anchor(&mut self, group: GroupId, answer: Result<Owner, Failure>) -> Option<String> {
        let news = !self.anchors.contains(&(group, answer));
        self.anchors.retain(|(it, _)| *it != group);
        self.anchors.push((group, answer));
        let text = match answer {
            Ok(owner) => format!("EC2: the anchor is with {}", words::owner(owner, self.me, self.names)),
            Err(failure) => format!("the anchor could not be read: {}", failed(failure)),
        };
        news.then_some(text)
    }

    fn instance(&mut self, node: NodeId, answer: Result<Option<Running>, Failure>) -> Option<String> {
        let news = !self.instances.contains(&(node, answer));
        self.instances.retain(|(it, _)| *it != node);
        self.instances.push((node, answer));
        let said = match answer {
            Ok(Some(running)) => format!("is {}", words::running(running)),
            Ok(None) => "is not known".to_owned(),
            Err(failure) => format!("could not be read: {}", failed(failure)),
        };
        news.then(|| format!("EC2: {}'s instance {said}", self.names.node(node)))
    }

    fn wish(&self, wish: &Wish) -> Sentence {
        let on_off = |on: bool| if on { "on" } else { "off" };
        let (group, text) = match wish {
            Wish::Switchover(group, None) => (group, "a switchover".to_owned()),
            Wish::Switchover(group, Some(to)) => (group, format!("a switchover to {}", self.names.node(*to))),
            Wish::Maintenance(group, on) => (group, format!("maintenance {}", on_off(*on))),
            Wish::Standby(group, on) => (group, format!("standby {}", on_off(*on))),
            Wish::Cleanup(group) => (group, "cleanup".to_owned()),
            Wish::TakeOver(group) => (group, "a takeover, whatever is known".to_owned()),
        };
        (Some(*group), format!("an operator asked for {text}"))
    }

    fn command(&self, command: &Command) -> Option<Sentence> {
        let on = |group: &GroupId, text: String| Some((Some(*group), text));
        match command {
            Command::TakeAnchor { group, from: TakeFrom::Anyone, .. } => {
                on(group, "EC2 is asked to give the anchor to this node".to_owned())
            }
            Command::TakeAnchor { group, from: TakeFrom::Nobody, .. } => {
                on(group, "EC2 is asked to give the anchor to this node, if nobody has it".to_owned())
            }
            Command::Fence { group, node, .. } => {
                on(group, format!("EC2 is asked to stop {}", self.names.node(*node)))
            }
            Command::Recover { node, remedy, .. } => {
                Some((None, format!("EC2 is asked to {} {}", remedy.words(), self.names.node(*node))))
            }
            Command::Probe { group, .. } => on(group, "the service is probed".to_owned()),
            Command::Converge { group, desired, .. } => {
                on(group, format!("this node is {}", words::wish(*desired)))
            }
            Command::Exit => Some((None, "the agent ends".to_owned())),
            Command::Send(_)
            | Command::ReadAnchor { .. }
            | Command::ReadInstance { .. }
            | Command::WriteCounter { .. }
            | Command::WriteOwnTag { .. }
            | Command::ReadLease { .. }
            | Command::WriteLease { .. }
            | Command::Guard { .. }
            | Command::Store { .. }
            | Command::Tell(_) => None,
        }
    }
}

fn recovered(whom: &str, answer: Result<(), Failure>) -> String {
    match answer {
        Ok(()) => format!("EC2 has accepted to bring {whom} back"),
        Err(why) => format!("{whom} was not brought back: {}", failed(why)),
    }
}

fn shutdown(how: Shutdown) -> &'static str {
    match how {
        Shutdown::Stop => "the agent was told to stop",
        Shutdown::Restart => "the agent was told to restart",
    }
}

fn failed(failure: Failure) -> &'static str {
    match failure {
        Failure::Conflict => "somebody was faster, or something is in the way",
        Failure::Refused => "EC2 refuses it",
        Failure::Passing => "EC2 was not reached, or throttled it",
        Failure::NoAnswer => "EC2 did not answer; nobody knows whether it was carried out",
    }
}
