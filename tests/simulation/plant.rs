//! Planted bugs: a wrapper around the core that breaks one rule. A simulator that finds none proves nothing.

use std::collections::VecDeque;
use std::time::Duration;

use standin::cluster::heartbeat::Echo;
use standin::cluster::{
    AnchorRead, Cluster, Command, Desired, Event, Failure, GroupId, Heartbeat, NodeId, Owner, Role, TakeFrom,
    Time,
};

/// One rule that is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plant {
    /// A read that fails says "orphaned".
    FailedReadIsOrphaned,
    /// Reads are answered from a cache of up to 40 s.
    CachedReads,
    /// Who yields leaves its service running.
    ServiceStays,
    /// A session counts without echoing our nonce.
    NoNonce,
    /// A stall of our own is counted as the peers' silence.
    NoStall,
    /// A take without an answer counts as done.
    HopeIsSuccess,
    /// The active never sees that the anchor has gone.
    NeverYields,
    /// Who has lost the anchor takes it back.
    Fights,
    /// After a yield the peer's old silence counts again.
    Rearms,
}

impl Plant {
    pub(crate) const ALL: [Self; 9] = [
        Self::FailedReadIsOrphaned,
        Self::CachedReads,
        Self::ServiceStays,
        Self::NoNonce,
        Self::NoStall,
        Self::HopeIsSuccess,
        Self::NeverYields,
        Self::Fights,
        Self::Rearms,
    ];

    /// Those that are found within a few seeds: a plain `cargo test` looks for them.
    pub(crate) const QUICK: [Self; 6] =
        [Self::CachedReads, Self::ServiceStays, Self::NoStall, Self::NeverYields, Self::Fights, Self::Rearms];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FailedReadIsOrphaned => "failed-read-is-orphaned",
            Self::CachedReads => "cached-reads",
            Self::ServiceStays => "service-stays",
            Self::NoNonce => "no-nonce",
            Self::NoStall => "no-stall",
            Self::HopeIsSuccess => "hope-is-success",
            Self::NeverYields => "never-yields",
            Self::Fights => "fights",
            Self::Rearms => "rearms",
        }
    }
}

/// The core, with or without a planted bug.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) cluster: Cluster,
    plant: Option<Plant>,
    out: VecDeque<Command>,
    cache: Vec<Option<(Time, AnchorRead)>>,
    serving: Vec<bool>,
    nonces: Vec<u64>,
    heard: Vec<Option<Heartbeat>>,
    foul_calls: u64,
}

impl Core {
    pub(crate) fn new(cluster: Cluster, plant: Option<Plant>, nodes: usize, groups: usize) -> Self {
        Self {
            cluster,
            plant,
            out: VecDeque::new(),
            cache: vec![None; groups],
            serving: vec![false; groups],
            nonces: vec![0; nodes],
            heard: vec![None; nodes],
            foul_calls: 1 << 40,
        }
    }

    pub(crate) fn handle(&mut self, event: Event, now: Time) {
        let Some(plant) = self.plant else { return self.cluster.handle(event, now) };
        if plant == Plant::NoStall {
            while now.since(self.cluster.next_deadline()) > Duration::from_millis(50) {
                let due = self.cluster.next_deadline();
                self.cluster.handle(Event::Ticked, due);
            }
        }
        let mut todo = VecDeque::from([self.twist(plant, event, now)]);
        while let Some(event) = todo.pop_front() {
            self.cluster.handle(event, now);
            while let Some(command) = self.cluster.next_command() {
                self.intercept(plant, command, &mut todo, now);
            }
        }
    }

    pub(crate) fn next_command(&mut self) -> Option<Command> {
        if self.plant.is_none() { self.cluster.next_command() } else { self.out.pop_front() }
    }

    fn twist(&mut self, plant: Plant, event: Event, now: Time) -> Event {
        match event {
            Event::AnchorRead { group, call, answer } => {
                let answer = self.twist_read(plant, group, answer, now);
                Event::AnchorRead { group, call, answer }
            }
            Event::TakeAnswered { group, call, answer: Err(Failure::NoAnswer) }
                if plant == Plant::HopeIsSuccess =>
            {
                Event::TakeAnswered { group, call, answer: Ok(()) }
            }
            Event::HeartbeatReceived(mut beat) => {
                let from = usize::from(beat.from.0);
                if plant == Plant::NoNonce {
                    let (session, nonce) = (self.cluster.session(), self.nonces[from]);
                    beat.echo = Some(Echo { session, nonce });
                }
                if plant == Plant::Rearms {
                    self.heard[from] = Some((*beat).clone());
                }
                Event::HeartbeatReceived(beat)
            }
            Event::Ticked
            | Event::DatagramRefused { .. }
            | Event::InstanceRead { .. }
            | Event::TakeAnswered { .. }
            | Event::CounterWritten { .. }
            | Event::OwnTagWritten { .. }
            | Event::Converged { .. }
            | Event::IdentityLearned { .. }
            | Event::AbilityChanged { .. }
            | Event::ServiceChanged { .. }
            | Event::ServiceFailed { .. }
            | Event::Fenced { .. }
            | Event::Probed { .. }
            | Event::LeaseRead { .. }
            | Event::LeaseWritten { .. }
            | Event::Asked(_)
            | Event::ShutdownAsked(_) => event,
        }
    }

    fn twist_read(
        &mut self,
        plant: Plant,
        group: GroupId,
        answer: Result<AnchorRead, Failure>,
        now: Time,
    ) -> Result<AnchorRead, Failure> {
        let at = usize::from(group.0);
        match (plant, answer) {
            (Plant::FailedReadIsOrphaned, Err(_)) => Ok(AnchorRead { owner: Owner::Orphaned, counter: None }),
            (Plant::CachedReads, Ok(read)) => {
                self.cache[at] = Some((now, read));
                answer
            }
            (Plant::NeverYields, Ok(AnchorRead { owner: Owner::Theirs(_), counter })) if self.serving[at] => {
                Ok(AnchorRead { owner: Owner::Mine, counter })
            }
            (Plant::Fights, Ok(AnchorRead { owner: Owner::Theirs(_), .. })) if self.serving[at] => {
                self.foul_calls += 1;
                let call = self.foul_calls;
                self.out.push_back(Command::TakeAnchor { group, call, from: TakeFrom::Anyone });
                answer
            }
            (_, answer) => answer,
        }
    }

    fn intercept(&mut self, plant: Plant, command: Command, todo: &mut VecDeque<Event>, now: Time) {
        match command {
            Command::Converge { group, desired, change } => {
                let was = std::mem::replace(
                    &mut self.serving[usize::from(group.0)],
                    matches!(desired, Desired::Serve { .. }),
                );
                let yields = was && desired == Desired::Standby;
                if yields && plant == Plant::Rearms {
                    todo.extend(self.forged());
                }
                if yields && plant == Plant::ServiceStays {
                    todo.push_back(Event::Converged { group, change });
                } else {
                    self.out.push_back(command);
                }
            }
            Command::ReadAnchor { group, call } if plant == Plant::CachedReads => {
                match self.cache[usize::from(group.0)] {
                    Some((read_at, read)) if now.since(read_at) < Duration::from_secs(40) => {
                        todo.push_back(Event::AnchorRead { group, call, answer: Ok(read) });
                    }
                    Some(_) | None => self.out.push_back(command),
                }
            }
            Command::Send(beat) => {
                self.nonces[usize::from(beat.to.0)] = beat.nonce;
                self.out.push_back(Command::Send(beat));
            }
            Command::ReadAnchor { .. }
            | Command::ReadInstance { .. }
            | Command::TakeAnchor { .. }
            | Command::WriteCounter { .. }
            | Command::WriteOwnTag { .. }
            | Command::Fence { .. }
            | Command::Probe { .. }
            | Command::ReadLease { .. }
            | Command::WriteLease { .. }
            | Command::Guard { .. }
            | Command::Store { .. }
            | Command::Tell(_)
            | Command::Exit => self.out.push_back(command),
        }
    }

    /// What each peer said last, once more, as an active node.
    fn forged(&mut self) -> Vec<Event> {
        let mut again = |node: usize| {
            let heard = self.heard[node].as_mut()?;
            heard.sequence += 1;
            let mut beat = heard.clone();
            beat.from = NodeId(u8::try_from(node).ok()?);
            for report in &mut beat.groups {
                report.role = Role::Active;
            }
            Some(Event::HeartbeatReceived(Box::new(beat)))
        };
        let nodes = self.nonces.len();
        (0..nodes).filter_map(&mut again).collect()
    }
}
