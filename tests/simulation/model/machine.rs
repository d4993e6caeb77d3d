//! One node: an instance with its clock and disk, and, if it runs, the agent's process.

use std::collections::VecDeque;
use std::time::Duration;

use standin::cluster::{Event, Memory, NodeId, Random, Role, Time};

use super::service::Service;
use crate::chance::{Chance, secs};
use crate::plant::Core;

/// A socket keeps so many datagrams while its process does not read.
const SOCKET_BUFFER: usize = 300;

/// A clock that runs a little wrong; the simulator's own time is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    at: Time,
    shows: u64,
    ppm: i64,
}

impl Clock {
    /// A clock that has just been set going, at boot. A wild one may be ten per cent wrong (the lease's bound).
    pub(crate) fn boot(now: Time, wild: bool, random: &mut Random) -> Self {
        let ppm = random.pick(&[0, 50, -50, 500, -500, 20_000, -20_000]);
        let ppm = if wild { random.pick(&[ppm, 100_000, -100_000]) } else { ppm };
        Self { at: now, shows: random.between(secs(5), secs(60)).as_nanos() as u64, ppm }
    }

    pub(crate) fn local(&self, now: Time) -> Time {
        let passed = now.since(self.at).as_nanos() as i128;
        let shown = passed + passed * i128::from(self.ppm) / 1_000_000;
        Time::from_nanos(self.shows) + Duration::from_nanos(shown as u64)
    }

    /// When it will show this.
    pub(crate) fn world(&self, local: Time) -> Time {
        let shown = local.since(Time::from_nanos(self.shows)).as_nanos() as i128;
        let passed = shown * 1_000_000 / (1_000_000 + i128::from(self.ppm));
        self.at + Duration::from_nanos(passed as u64 + 1)
    }
}

/// The agent's process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) core: Core,
    pub(crate) wake_at: Time,
    pub(crate) roles: Vec<Role>,
    pub(crate) leaving: bool,
    /// After its end it is started again, so much later.
    pub(crate) back_in: Option<Duration>,
}

/// One group on one machine: what survives the agent.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    /// On disk.
    pub(crate) memory: Memory,
    /// The service could serve.
    pub(crate) fit: bool,
    pub(crate) able: bool,
    pub(crate) service: Service,
}

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: NodeId,
    pub(crate) clock: Clock,
    wild: bool,
    pub(crate) up: bool,
    pub(crate) process: Option<Process>,
    /// How many processes it has had.
    pub(crate) life: u32,
    pub(crate) frozen_until: Time,
    pub(crate) thawed_at: Time,
    /// How long it stood still before that.
    pub(crate) stalled_for: Duration,
    pub(crate) waiting: VecDeque<Event>,
    pub(crate) groups: Vec<Local>,
}

impl Machine {
    pub(crate) fn new(id: NodeId, groups: usize, wild: bool, random: &mut Random) -> Self {
        let local = Local { memory: Memory::default(), fit: true, able: true, service: Service::default() };
        Self {
            id,
            clock: Clock::boot(Time::ZERO, wild, random),
            wild,
            up: true,
            process: None,
            life: 0,
            frozen_until: Time::ZERO,
            thawed_at: Time::ZERO,
            stalled_for: Duration::ZERO,
            waiting: VecDeque::new(),
            groups: vec![local; groups],
        }
    }

    pub(crate) fn frozen(&self, now: Time) -> bool {
        now < self.frozen_until
    }

    /// A process runs, and is not frozen.
    pub(crate) fn runs(&self, now: Time) -> bool {
        self.process.is_some() && !self.frozen(now)
    }

    pub(crate) fn leaving(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.leaving)
    }

    pub(crate) fn active(&self, group: usize) -> bool {
        self.process.as_ref().is_some_and(|process| process.roles[group] == Role::Active)
    }

    /// Keeps an event for a frozen process: datagrams as far as the socket's buffer goes.
    pub(crate) fn keep(&mut self, event: Event) {
        if matches!(event, Event::HeartbeatReceived(_)) {
            let datagrams = self.waiting.iter().filter(|it| matches!(it, Event::HeartbeatReceived(_)));
            if datagrams.count() >= SOCKET_BUFFER {
                return;
            }
        }
        self.waiting.push_back(event);
    }

    /// The process has ended, one way or another. What it left running goes on.
    pub(crate) fn end_process(&mut self) {
        self.process = None;
        self.waiting.clear();
        self.frozen_until = Time::ZERO;
    }

    /// The instance has stopped: nothing goes on.
    pub(crate) fn power_off(&mut self) {
        self.end_process();
        self.up = false;
        for group in &mut self.groups {
            group.service = Service::default();
        }
    }

    /// The instance boots. What was remembered in this boot's time is translated, as the shell has to do.
    pub(crate) fn boot(&mut self, now: Time, random: &mut Random) {
        let before = self.clock;
        self.clock = Clock::boot(now, self.wild, random);
        self.up = true;
        for group in &mut self.groups {
            for at in &mut group.memory.silent_takeovers {
                let age = now.since(before.world(*at));
                *at = self.clock.local(now) - age;
            }
            if let Some(at) = &mut group.memory.failed_at {
                *at = self.clock.local(now) - now.since(before.world(*at));
            }
        }
    }
}
