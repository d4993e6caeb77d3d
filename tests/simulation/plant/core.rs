//! The core, with or without a planted bug.

use std::collections::VecDeque;
use std::time::Duration;

use standin::cluster::{
    AnchorRead, Cluster, Command, Desired, Event, Heartbeat, Lease, NodeId, Role, Settings, Time,
};

use super::Plant;

/// The core, and what the planted bug remembers.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) cluster: Cluster,
    plant: Option<Plant>,
    pub(super) out: VecDeque<Command>,
    pub(super) cache: Vec<Option<(Time, AnchorRead)>>,
    pub(super) serving: Vec<bool>,
    pub(super) nonces: Vec<u64>,
    pub(super) heard: Vec<Option<Heartbeat>>,
    /// Per peer and link (two): a number that only grows.
    pub(super) sequences: Vec<u64>,
    /// Writes of the lease that were answered, and were said to have failed in passing.
    pub(super) landed: Vec<Option<u64>>,
    pub(super) written: Vec<(u64, Lease)>,
    pub(super) foul_calls: u64,
    pub(super) probed: bool,
    pub(super) me: NodeId,
}

impl Core {
    pub(crate) fn new(mut settings: Settings, plant: Option<Plant>, now: Time) -> Self {
        let (nodes, groups, me) = (usize::from(settings.nodes), settings.groups.len(), settings.me);
        if let Some(plant) = plant {
            plant.twist_settings(&mut settings);
        }
        Self {
            cluster: Cluster::new(settings, now),
            plant,
            out: VecDeque::new(),
            cache: vec![None; groups],
            serving: vec![false; groups],
            nonces: vec![0; nodes],
            heard: vec![None; nodes],
            sequences: vec![0; nodes * 2],
            landed: vec![None; groups],
            written: Vec::new(),
            foul_calls: 1 << 40,
            probed: false,
            me,
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

    fn intercept(&mut self, plant: Plant, mut command: Command, todo: &mut VecDeque<Event>, now: Time) {
        if let Command::Send(beat) = &command {
            self.nonces[usize::from(beat.to.0)] = beat.nonce;
        }
        if let Command::Converge { group, desired, change } = &command {
            let serves = matches!(desired, Desired::Serve { .. });
            let was = std::mem::replace(&mut self.serving[usize::from(group.0)], serves);
            let yields = was && *desired == Desired::Standby;
            if yields && plant == Plant::Rearms {
                todo.extend(self.forged());
            }
            if yields && plant == Plant::ServiceStays {
                return todo.push_back(Event::Converged { group: *group, change: *change });
            }
        }
        if let (Plant::CachedReads, Command::ReadAnchor { group, call }) = (plant, &command)
            && let Some((read_at, read)) = self.cache[usize::from(group.0)]
            && now.since(read_at) < Duration::from_secs(40)
        {
            return todo.push_back(Event::AnchorRead { group: *group, call: *call, answer: Ok(read) });
        }
        if let (Plant::LeaseFromAnswer, Command::WriteLease { group, call, lease, .. }) = (plant, &command) {
            if self.landed[usize::from(group.0)] == Some(lease.nonce) {
                return todo.push_back(Event::LeaseWritten { group: *group, call: *call, answer: Ok(()) });
            }
            self.written.push((*call, *lease));
        }
        if let Command::Guard { until, .. } = &mut command {
            if plant == Plant::GuardForgotten {
                return;
            }
            if plant == Plant::GuardLate {
                *until = until.map(|at| at + Duration::from_secs(3));
            }
        }
        self.out.push_back(command);
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
