//! Cores against each other, on one clock, with a network and an EC2 that do as they are told.

use std::time::Duration;

use super::*;

mod bounds;
mod ec2;
mod fencing;
mod holding;
mod incidents;
mod leases;
mod losers;
mod moves;
mod pace;
mod recovery;
mod rows;
mod sessions;
mod strict;
mod table;
mod views;

use ec2::{Delay, Held, TakeCall};

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two or more cores, a perfect network unless cut, and an EC2 that holds one anchor per group.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) nodes: Vec<Option<Cluster>>,
    pub(super) holder: Vec<Held>,
    pub(super) counter: Option<Counter>,
    pub(super) instances: Vec<Option<Running>>,
    /// Datagrams from the first to the second are lost.
    pub(super) cut: Vec<(u8, u8)>,
    /// EC2 takes no tags from anyone.
    pub(super) tagless: bool,
    /// Nodes whose calls fail so.
    pub(super) cloudless: Vec<u8>,
    /// Nodes that do not run for a while.
    pub(super) frozen: Vec<u8>,
    /// Nodes whose world does not become as it should be.
    pub(super) stuck: Vec<u8>,
    pub(super) take_answer: Option<Failure>,
    /// Nodes whose takes are refused.
    pub(super) refused: Vec<u8>,
    /// Something else is where the anchor goes to: it can be taken only from anyone.
    pub(super) in_the_way: bool,
    pub(super) read_lag: Option<Held>,
    pub(super) notices: Vec<(u8, Notice)>,
    /// When who asked EC2 for the anchor.
    pub(super) reads: Vec<(Time, u8)>,
    /// When who asked EC2 for whose instance.
    pub(super) instance_reads: Vec<(Time, u8, u8)>,
    /// When who read the lease.
    pub(super) table_reads: Vec<(Time, u8)>,
    /// The numbers of all calls.
    pub(super) numbers: Vec<(u8, u64)>,
    pub(super) takes: Vec<(Time, u8, TakeFrom)>,
    /// The same, with what EC2 made of them.
    pub(super) calls: Vec<TakeCall>,
    /// Nodes whose calls land late.
    pub(super) delays: Vec<Delay>,
    pub(super) tags: Vec<(Time, u8, u64)>,
    pub(super) own_tags: Vec<(Time, u8)>,
    pub(super) desired: Vec<Option<Desired>>,
    /// Everything that was wanted of whose service.
    pub(super) wishes: Vec<(Time, u8, Desired)>,
    /// So many milliseconds pass until the world is as a node wants it.
    pub(super) converging: u64,
    pub(super) exited: Vec<u8>,
    pub(super) datagrams: Vec<Heartbeat>,
    /// DynamoDB: what stands there, and how calls fail.
    pub(super) table: Option<Lease>,
    pub(super) table_fails: Option<Failure>,
    /// Writes land there so long after they were sent.
    pub(super) table_delay: Duration,
    pub(super) guards: Vec<(Time, u8, Option<Time>)>,
    /// So many wishes came before each of them.
    pub(super) guards_at: Vec<usize>,
    pub(super) fences: Vec<(Time, u8, u8)>,
    pub(super) fence_answer: Result<(), Failure>,
    /// Stops, probes and questions about instances are never answered.
    pub(super) mute: bool,
    pub(super) recoveries: Vec<(Time, u8, u8, Remedy)>,
    pub(super) recovery_answer: Result<(), Failure>,
    pub(super) probe_answers: bool,
    pub(super) probes: Vec<(Time, u8)>,
    /// What each core is told and decides, if it is recorded.
    tapes: Vec<Option<incidents::Tape>>,
    queue: Vec<(Time, u8, Event)>,
    /// Calls on their way to EC2: when they land, their place in `calls`, their number.
    landing: Vec<(Time, usize, u64)>,
    writes: Vec<(Time, table::Write)>,
    born: u32,
    seed: u64,
    settings: Settings,
}

pub(super) fn settings(nodes: u8) -> Settings {
    Settings {
        me: NodeId(0),
        nodes,
        links: 1,
        interval: ms(250),
        warn_after: ms(1000),
        dead_after: ms(2000),
        first_dead_after: ms(30_000),
        call_timeout: ms(3000),
        config_hash: 7,
        seed: 0,
        recovery: None,
        groups: vec![GroupSettings::of((0..nodes).map(NodeId).collect())],
    }
}

impl World {
    pub(super) fn new(nodes: u8, held: Held) -> Self {
        let mut world = Self::empty(settings(nodes), held);
        for node in 0..nodes {
            world.start(node);
        }
        world
    }

    pub(super) fn empty(settings: Settings, held: Held) -> Self {
        let nodes = usize::from(settings.nodes);
        Self {
            now: Time::from_nanos(1_000_000_000_000),
            nodes: (0..nodes).map(|_| None).collect(),
            holder: vec![held; settings.groups.len()],
            counter: None,
            instances: vec![Some(Running::Yes); nodes],
            cut: Vec::new(),
            tagless: false,
            cloudless: Vec::new(),
            frozen: Vec::new(),
            stuck: Vec::new(),
            take_answer: None,
            refused: Vec::new(),
            in_the_way: false,
            read_lag: None,
            notices: Vec::new(),
            reads: Vec::new(),
            instance_reads: Vec::new(),
            table_reads: Vec::new(),
            numbers: Vec::new(),
            takes: Vec::new(),
            calls: Vec::new(),
            delays: Vec::new(),
            tags: Vec::new(),
            own_tags: Vec::new(),
            desired: vec![None; nodes],
            wishes: Vec::new(),
            converging: 10,
            exited: Vec::new(),
            datagrams: Vec::new(),
            table: None,
            table_fails: None,
            table_delay: Duration::ZERO,
            guards: Vec::new(),
            guards_at: Vec::new(),
            fences: Vec::new(),
            fence_answer: Ok(()),
            mute: false,
            recoveries: Vec::new(),
            recovery_answer: Ok(()),
            probe_answers: true,
            probes: Vec::new(),
            tapes: (0..nodes).map(|_| None).collect(),
            queue: Vec::new(),
            landing: Vec::new(),
            writes: Vec::new(),
            born: 0,
            seed: 1,
            settings,
        }
    }

    pub(super) fn start(&mut self, node: u8) {
        self.seed += 1;
        let settings = Settings { me: NodeId(node), seed: self.seed, ..self.settings.clone() };
        let groups = settings.groups.len();
        self.nodes[usize::from(node)] = Some(Cluster::new(settings, self.now));
        for group in 0..groups {
            let group = GroupId(u8::try_from(group).unwrap());
            self.tell(node, Event::AbilityChanged { group, able: Ok(()) });
        }
    }

    pub(super) fn kill(&mut self, node: u8) {
        self.nodes[usize::from(node)] = None;
        self.queue.retain(|(_, to, _)| *to != node);
    }

    /// Tells a node something now.
    pub(super) fn tell(&mut self, node: u8, event: Event) {
        let now = self.now;
        let Some(core) = &mut self.nodes[usize::from(node)] else { return };
        let tape = &mut self.tapes[usize::from(node)];
        if let Some(tape) = tape {
            tape.input(core, &event, now);
        }
        core.handle(event, now);
        let mut commands = Vec::new();
        while let Some(command) = core.next_command() {
            commands.push(command);
        }
        if let Some(tape) = tape {
            tape.output(core, &commands, now);
        }
        for command in commands {
            self.carry_out(node, command);
        }
    }

    /// Lets so much time pass.
    pub(super) fn run(&mut self, for_: Duration) {
        let end = self.now + for_;
        let (mut turns, mut at_once) = (0u64, 0);
        let enough = 2000 + 500 * for_.as_secs();
        loop {
            let frozen = &self.frozen;
            let due = self
                .nodes
                .iter()
                .zip(0u8..)
                .filter(|(_, node)| !frozen.contains(node))
                .filter_map(|(core, node)| core.as_ref().map(|core| (core.next_deadline(), node)))
                .min();
            let next = self
                .queue
                .iter()
                .enumerate()
                .filter(|(_, (_, node, _))| !frozen.contains(node))
                .map(|(at, (time, ..))| (*time, at))
                .min();
            let tick = due.map(|(at, _)| at);
            let landing = [self.next_landing(), self.next_write()].into_iter().flatten().min();
            let first = [tick, next.map(|(at, _)| at), landing].into_iter().flatten().min();
            let Some(first) = first.filter(|first| *first <= end) else { break };
            at_once = if first > self.now { 0 } else { at_once + 1 };
            turns += 1;
            assert!(at_once < 1000 && turns < enough, "the cores go round in circles at {:?}", self.now);
            self.now = self.now.max(first);
            if landing.is_some_and(|at| at <= first) {
                self.land_due();
                self.writes_due();
            } else if let Some((_, at)) = next.filter(|(time, _)| *time <= first) {
                let (_, node, event) = self.queue.remove(at);
                self.tell(node, event);
            } else if let Some((_, node)) = due {
                self.tell(node, Event::Ticked);
            }
        }
        self.now = end;
    }

    /// Lets time pass, a step at a time, until it is so; within ten minutes it has to be.
    pub(super) fn run_until(&mut self, step: Duration, is_so: impl Fn(&Self) -> bool) {
        let end = self.now + ms(600_000);
        while !is_so(self) {
            assert!(self.now < end, "what is waited for does not come");
            self.run(step);
        }
    }

    pub(super) fn core(&self, node: u8) -> &Cluster {
        self.nodes[usize::from(node)].as_ref().unwrap()
    }

    pub(super) fn group(&self, node: u8) -> snapshot::GroupView {
        self.core(node).snapshot(self.now).groups.remove(0)
    }

    pub(super) fn active(&self) -> Vec<u8> {
        let nodes = 0..u8::try_from(self.nodes.len()).unwrap();
        nodes
            .filter(|node| self.nodes[usize::from(*node)].is_some())
            .filter(|node| self.group(*node).role == Role::Active)
            .collect()
    }

    pub(super) fn said(&self, node: u8, id: &str) -> bool {
        self.notices.iter().any(|(from, notice)| *from == node && notice.id == id)
    }

    fn later(&mut self, after: u64, node: u8, event: Event) {
        self.queue.push((self.now + ms(after), node, event));
    }

    fn carry_out(&mut self, node: u8, command: Command) {
        let dark = self.cloudless.contains(&node);
        match command {
            Command::Send(beat) => {
                if !self.cut.contains(&(node, beat.to.0)) {
                    self.later(1, beat.to.0, Event::HeartbeatReceived(beat.clone()));
                }
                self.datagrams.push(*beat);
            }
            Command::ReadAnchor { group, call } => {
                let answer = if dark { Err(Failure::Passing) } else { Ok(self.read(node, group)) };
                self.reads.push((self.now, node));
                self.numbers.push((node, call));
                self.later(5, node, Event::AnchorRead { group, call, answer });
            }
            Command::ReadInstance { node: whose, call } => {
                let known = self.instances[usize::from(whose.0)];
                let answer = if dark { Err(Failure::Passing) } else { Ok(known) };
                self.numbers.push((node, call));
                self.instance_reads.push((self.now, node, whose.0));
                if !self.mute {
                    self.later(5, node, Event::InstanceRead { node: whose, call, answer });
                }
            }
            Command::TakeAnchor { group, call, from } => {
                self.numbers.push((node, call));
                self.take_sent(node, group, call, from);
            }
            Command::WriteCounter { group, n } => {
                self.tags.push((self.now, node, n));
                let session = self.core(node).session();
                let dark = dark || self.tagless;
                if !dark {
                    self.counter = Some(Counter { node: NodeId(node), session, n });
                }
                self.later(5, node, Event::CounterWritten { group, ok: !dark });
            }
            Command::WriteOwnTag { group } => {
                self.own_tags.push((self.now, node));
                let ok = !(dark || self.tagless);
                self.later(5, node, Event::OwnTagWritten { group, ok });
            }
            Command::Fence { group, node: whose, call } => {
                self.numbers.push((node, call));
                self.fences.push((self.now, node, whose.0));
                if self.mute {
                    return;
                }
                if self.fence_answer.is_ok() {
                    self.instances[usize::from(whose.0)] = Some(Running::Ending);
                }
                let answer = self.fence_answer;
                self.later(5, node, Event::Fenced { group, node: whose, call, answer });
            }
            Command::Recover { node: whose, remedy, call } => {
                self.recoveries.push((self.now, node, whose.0, remedy));
                let answer = self.recovery_answer;
                if answer.is_ok() && remedy != Remedy::Reboot {
                    let stops = remedy == Remedy::Stop;
                    self.instances[usize::from(whose.0)] =
                        Some(if stops { Running::No } else { Running::Yes });
                }
                self.later(5, node, Event::Recovered { node: whose, call, answer });
            }
            Command::Probe { group, call } => {
                self.numbers.push((node, call));
                self.probes.push((self.now, node));
                let answered = self.probe_answers;
                if !self.mute {
                    self.later(20, node, Event::Probed { group, call, answered });
                }
            }
            Command::ReadLease { group, call } => {
                self.numbers.push((node, call));
                self.table_reads.push((self.now, node));
                let answer = self.table_fails.map_or(Ok(self.table), Err);
                self.table_later(node, Event::LeaseRead { group, call, answer });
            }
            Command::WriteLease { group, call, expect, lease } => {
                self.numbers.push((node, call));
                self.write_sent(table::Write { node, group, call, expect, lease });
            }
            Command::Guard { until, .. } => {
                self.guards.push((self.now, node, until));
                self.guards_at.push(self.wishes.len());
            }
            Command::Converge { group, desired, change } => {
                if group.0 == 0 {
                    self.desired[usize::from(node)] = Some(desired);
                    self.wishes.push((self.now, node, desired));
                }
                if !self.stuck.contains(&node) {
                    self.later(self.converging, node, Event::Converged { group, change });
                }
            }
            Command::Store { group, memory } => {
                if node == 0 {
                    self.settings.groups[usize::from(group.0)].memory = memory;
                }
            }
            Command::Tell(notice) => self.notices.push((node, notice)),
            Command::Exit => {
                self.exited.push(node);
                self.queue.retain(|(_, to, _)| *to != node);
                self.nodes[usize::from(node)] = None;
            }
        }
    }
}
