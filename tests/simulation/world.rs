//! The virtual world: one clock, one queue, the machines, the network, EC2, DynamoDB, and the checkers that
//! look on.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use standin::cluster::{Event, GroupId, Heartbeat, NodeId, Random, Settings, Time};

use crate::chance::{Chance, ms, secs};
use crate::check::Checks;
use crate::fault::{Planned, plan};
use crate::model::calls::{Answer, Call};
use crate::model::dynamo::Dynamo;
use crate::model::ec2::Ec2;
use crate::model::machine::Machine;
use crate::model::net::Net;
use crate::model::service::Job;
use crate::plant::Plant;
use crate::run::Case;
use crate::setup::{Topology, recovery, settings};
use crate::tally::Tally;

/// Faults happen for so long.
pub(crate) const FAULTY: Duration = secs(1800);
/// How often the checkers look.
const LOOK_EVERY: Duration = ms(100);

/// What will happen.
#[derive(Debug)]
pub(crate) enum Next {
    Arrives {
        beat: Box<Heartbeat>,
        sent: Time,
        life: u32,
        genuine: bool,
    },
    /// A call reaches its service.
    Acts(Box<Call>),
    /// An answer reaches the process that asked.
    Answered {
        node: NodeId,
        life: u32,
        answer: Answer,
    },
    /// systemd is done.
    JobEnds(Job),
    /// The guard's time has come.
    Guards {
        node: NodeId,
        group: GroupId,
        until: Time,
    },
    /// The shell looks after the rest.
    Repairs {
        node: NodeId,
        life: u32,
        group: GroupId,
        change: u64,
    },
    /// The service fails, so often.
    Fails {
        node: NodeId,
        group: GroupId,
        times: u32,
    },
    /// The shell looks whether the service that failed meanwhile is dead.
    FindsDead {
        node: NodeId,
        group: GroupId,
        life: u32,
    },
    Starts(NodeId),
    Boots(NodeId),
    /// Its instance is rebooted: it goes down, it comes up.
    Reboots(NodeId),
    Rebooted(NodeId),
    Thaws(NodeId),
    Stalls {
        node: NodeId,
        length: Duration,
        until: Time,
    },
    /// The path is cut and mended, again and again.
    Flaps {
        fault: usize,
        cut: bool,
        until: Time,
    },
    Replays {
        to: NodeId,
        until: Time,
    },
    PowersOff {
        node: NodeId,
        gone: bool,
    },
    Begins(usize),
    Ends(usize),
    Looks,
    Heals(u32),
}

#[derive(Debug)]
struct Entry {
    at: Time,
    number: u64,
    next: Next,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) topology: Topology,
    pub(crate) random: Random,
    pub(crate) machines: Vec<Machine>,
    pub(crate) net: Net,
    pub(crate) ec2: Ec2,
    pub(crate) dynamo: Dynamo,
    pub(crate) faults: Vec<Planned>,
    pub(crate) checks: Checks,
    pub(crate) tally: Tally,
    /// Kept only for a replay.
    pub(crate) timeline: Vec<(Time, String)>,
    recording: bool,
    pub(crate) healed: bool,
    /// The last call that is still under way reaches its service then.
    pub(crate) last_landing: Time,
    /// When it has to have converged; and the end of the run.
    pub(crate) quiet_from: Option<Time>,
    pub(crate) settings: Settings,
    pub(crate) plant: Option<Plant>,
    pub(crate) jobs: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    numbers: u64,
}

/// Streams of their own, so that a fault less does not change what becomes of everything else.
fn stream(seed: u64, number: u64) -> Random {
    let mut random = Random::new(seed ^ (number << 40) ^ 0x5eed_0000_0000);
    Random::new(random.next())
}

impl World {
    pub(crate) fn new(case: &Case, recording: bool) -> Self {
        let (seed, topology) = (case.seed, case.topology);
        let mut random = stream(seed, 1);
        let links = 1 + random.below(2) as u8;
        let mut settings = settings(topology, case.force, links, &mut random);
        settings.recovery = recovery(case.force, &mut stream(seed, 7));
        let groups = usize::from(topology.groups);
        let wild = settings.groups.iter().any(|group| group.lease.is_some());
        let machines =
            (0..topology.nodes).map(|node| Machine::new(NodeId(node), groups, wild, &mut random)).collect();
        let faults = plan(topology, &settings, FAULTY, &mut stream(seed, 2));
        let mut world = Self {
            now: Time::ZERO,
            topology,
            machines,
            net: Net::new(topology.nodes, stream(seed, 3)),
            ec2: Ec2::new(topology.nodes, topology.groups, stream(seed, 4)),
            dynamo: Dynamo::new(topology.groups, stream(seed, 5)),
            checks: Checks::new(topology, &settings),
            tally: Tally::default(),
            timeline: Vec::new(),
            recording,
            healed: false,
            last_landing: Time::ZERO,
            quiet_from: None,
            settings,
            plant: case.plant,
            jobs: 0,
            queue: BinaryHeap::new(),
            numbers: 0,
            faults,
            random: stream(seed, 6),
        };
        for node in 0..topology.nodes {
            let after = random.spread(ms(1), secs(20));
            world.later(after, Next::Starts(NodeId(node)));
        }
        for at in 0..world.faults.len() {
            if let Some(lasts) = case.lasts(at, world.faults[at].lasts) {
                world.faults[at].lasts = lasts;
                world.later(world.faults[at].at.since(Time::ZERO), Next::Begins(at));
            }
        }
        world.later(LOOK_EVERY, Next::Looks);
        world.later(FAULTY, Next::Heals(0));
        world
    }

    pub(crate) fn later(&mut self, after: Duration, next: Next) {
        self.numbers += 1;
        self.queue.push(Reverse(Entry { at: self.now + after, number: self.numbers, next }));
    }

    /// A line of the timeline.
    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        if self.recording {
            self.timeline.push((self.now, text()));
        }
    }

    /// A checker has found something: the first finding counts.
    pub(crate) fn fail(&mut self, checker: &'static str, text: String) {
        self.checks.fail(checker, text);
    }

    /// Runs to the end, or to the first violation.
    pub(crate) fn run(&mut self) {
        while self.checks.violation.is_none() && !self.over() {
            let wakes = self
                .machines
                .iter()
                .filter(|machine| machine.frozen_until <= self.now)
                .filter_map(|machine| machine.process.as_ref().map(|process| (process.wake_at, machine.id)))
                .min();
            let queued = self.queue.peek().map_or(Time::from_nanos(u64::MAX), |Reverse(entry)| entry.at);
            match wakes {
                Some((at, node)) if at < queued => {
                    self.now = self.now.max(at);
                    self.tell(node, Event::Ticked);
                }
                Some(_) | None => {
                    let Some(Reverse(entry)) = self.queue.pop() else { return };
                    self.now = entry.at;
                    self.happen(entry.next);
                }
            }
        }
    }

    fn happen(&mut self, next: Next) {
        match next {
            Next::Arrives { beat, sent, life, genuine } => self.arrives(beat, sent, life, genuine),
            Next::Acts(call) => self.acts(*call),
            Next::Answered { node, life, answer } => {
                if self.machine(node).life == life {
                    self.answered(node, answer);
                }
            }
            Next::JobEnds(job) => self.job_ends(job),
            Next::Guards { node, group, until } => self.guards(node, group, until),
            Next::Repairs { node, life, group, change } => self.repairs(node, life, group, change),
            Next::Fails { node, group, times } => self.fails(node, group, times),
            Next::Flaps { fault, cut, until } => self.flaps(fault, cut, until),
            Next::FindsDead { node, group, life } => self.finds_dead(node, group, life),
            Next::Boots(node) => self.boot(node),
            Next::Reboots(node) => self.reboots(node),
            Next::Rebooted(node) => self.rebooted(node),
            Next::Starts(node) => self.start(node),
            Next::Thaws(node) => self.thaw(node),
            Next::Stalls { node, length, until } => {
                if self.now < until {
                    let length = self.random.between(length / 4, length);
                    self.freeze(node, length);
                    let pause = self.random.spread(ms(10), secs(3));
                    self.later(length + pause, Next::Stalls { node, length, until });
                }
            }
            Next::Replays { to, until } => self.replays(to, until),
            Next::PowersOff { node, gone } => self.power_off(node, gone),
            Next::Begins(fault) => self.begin(fault),
            Next::Ends(fault) => self.end(fault),
            Next::Looks => {
                self.look();
                self.later(LOOK_EVERY, Next::Looks);
            }
            Next::Heals(step) => self.heal(step),
        }
    }

    fn answered(&mut self, node: NodeId, answer: Answer) {
        match answer {
            Answer::Core(event) => {
                if let Event::AnchorRead { group, answer: Ok(_), .. } = &event {
                    self.checks.knows(node, *group, self.machines[usize::from(node.0)].life, self.now);
                }
                self.tell(node, event);
            }
            Answer::Rest { group, change, mine } => self.rest_read(node, group, change, mine),
            Answer::Nothing => {}
        }
    }

    pub(crate) fn machine(&mut self, node: NodeId) -> &mut Machine {
        &mut self.machines[usize::from(node.0)]
    }
}
