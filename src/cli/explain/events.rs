//! The events of a recording, in sentences. Only what is news: a read that says what the one before it said is
//! none.

use super::words;
use crate::agent::names::Names;
use crate::cluster::{
    Command, Event, Failure, GroupId, NodeId, Owner, ServiceFailure, Shutdown, TakeFrom, Wish,
};
use crate::record::Line;

/// Turns lines into sentences.
#[derive(Debug)]
pub(super) struct Events<'a> {
    names: &'a Names,
    me: NodeId,
    /// What EC2 last said of each anchor, and of each instance.
    anchors: Vec<(GroupId, Result<Owner, Failure>)>,
    instances: Vec<(NodeId, String)>,
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
        let on = |group: &GroupId, text: String| Some((Some(*group), text));
        match event {
            Event::Ticked
            | Event::HeartbeatReceived(_)
            | Event::DatagramRefused { .. }
            | Event::Converged { .. } => None,
            Event::AnchorRead { group, answer, .. } => {
                let answer = answer.map(|read| read.owner);
                let text = match answer {
                    Ok(owner) => {
                        format!("EC2: the anchor is with {}", words::owner(owner, self.me, self.names))
                    }
                    Err(failure) => format!("the anchor could not be read: {}", failed(failure)),
                };
                let news = !self.anchors.contains(&(*group, answer));
                self.anchors.retain(|(it, _)| it != group);
                self.anchors.push((*group, answer));
                if news { on(group, text) } else { None }
            }
            Event::InstanceRead { node, answer, .. } => {
                let said = match answer {
                    Ok(Some(running)) => format!("is {}", words::running(*running)),
                    Ok(None) => "is not known".to_owned(),
                    Err(failure) => format!("could not be read: {}", failed(*failure)),
                };
                let known = (*node, said);
                let text = format!("EC2: {}'s instance {}", self.names.node(*node), known.1);
                let news = !self.instances.contains(&known);
                self.instances.retain(|(it, _)| it != node);
                self.instances.push(known);
                if news { Some((None, text)) } else { None }
            }
            Event::TakeAnswered { group, answer, .. } => match answer {
                Ok(()) => on(group, "EC2 answered: the anchor is taken".to_owned()),
                Err(failure) => on(group, format!("the take failed: {}", failed(*failure))),
            },
            Event::CounterWritten { group, ok: false } => {
                on(group, "EC2 did not take the counter".to_owned())
            }
            Event::OwnTagWritten { group, ok: false } => {
                on(group, "EC2 did not take this node's tag".to_owned())
            }
            Event::CounterWritten { .. } | Event::OwnTagWritten { .. } => None,
            Event::Fenced { group, node, answer, .. } => on(
                group,
                match answer {
                    Ok(()) => format!("EC2 has accepted to stop {}", self.names.node(*node)),
                    Err(failure) => {
                        format!("{} was not stopped: {}", self.names.node(*node), failed(*failure))
                    }
                },
            ),
            Event::Probed { group, answered, .. } => on(
                group,
                format!("the service {} the probe", if *answered { "answered" } else { "did not answer" }),
            ),
            Event::LeaseRead { group, answer: Err(failure), .. } => {
                on(group, format!("the lease could not be read: {}", failed(*failure)))
            }
            Event::LeaseWritten { group, answer: Err(failure), .. } => {
                on(group, format!("the lease was not written: {}", failed(*failure)))
            }
            Event::LeaseRead { .. } | Event::LeaseWritten { .. } => None,
            Event::IdentityLearned { instance, .. } => {
                Some((None, format!("this node is instance {instance}")))
            }
            Event::AbilityChanged { group, able } => on(
                group,
                match able {
                    Ok(()) => "this node has what it needs to serve".to_owned(),
                    Err(why) => format!("this node could not serve: {}", self.names.text(why)),
                },
            ),
            Event::ServiceChanged { group, fit } => {
                on(group, format!("the service {} here", if *fit { "is fit" } else { "has failed for good" }))
            }
            Event::ServiceFailed { group, how } => on(
                group,
                match how {
                    ServiceFailure::Running => "the service has failed here".to_owned(),
                    ServiceFailure::Start => "the service did not start here".to_owned(),
                },
            ),
            Event::Asked(wish) => Some(self.wish(wish)),
            Event::ShutdownAsked(Shutdown::Stop) => Some((None, "the agent was told to stop".to_owned())),
            Event::ShutdownAsked(Shutdown::Restart) => {
                Some((None, "the agent was told to restart".to_owned()))
            }
        }
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

fn failed(failure: Failure) -> &'static str {
    match failure {
        Failure::Conflict => "somebody was faster, or something is in the way",
        Failure::Refused => "EC2 refuses it",
        Failure::Passing => "EC2 was not reached, or throttled it",
        Failure::NoAnswer => "EC2 did not answer; nobody knows whether it was carried out",
    }
}
