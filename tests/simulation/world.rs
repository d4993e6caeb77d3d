//! The virtual world: one clock, one queue, the machines, the network, EC2, and the checkers that look on.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use standin::cluster::{
    Cluster, Command, Counter, Event, GroupId, GroupSettings, Heartbeat, NodeId, Random, Role, Settings,
    Time, WhenSilent,
};

use super::calls::{Asks, Call};
use super::chance::{Chance, ms, secs};
use super::check::Checks;
use super::ec2::Ec2;
use super::faults::{Planned, plan};
use super::machine::{Machine, Process};
use super::net::{Arrival, Net};
use super::plant::{Core, Plant};
use super::tally::Tally;

/// Faults happen for so long.
pub(crate) const FAULTY: Duration = secs(1800);
/// The shell's bound on a call.
pub(crate) const CALL_TIMEOUT: Duration = secs(3);
/// How often the checkers look.
const LOOK_EVERY: Duration = ms(100);

/// Which nodes and groups there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Topology {
    pub(crate) nodes: u8,
    /// The first so many nodes are in the groups; the others only witness.
    pub(crate) members: u8,
    pub(crate) groups: u8,
}

impl Topology {
    /// All, with the names that the command line knows.
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("2", Self { nodes: 2, members: 2, groups: 1 }),
        ("3", Self { nodes: 3, members: 3, groups: 1 }),
        ("2x2", Self { nodes: 2, members: 2, groups: 2 }),
        ("2+1", Self { nodes: 3, members: 2, groups: 1 }),
    ];
}

/// What will happen.
#[derive(Debug)]
pub(crate) enum Next {
    Arrives {
        beat: Box<Heartbeat>,
        sent: Time,
        life: u32,
        genuine: bool,
    },
    /// A call reaches EC2.
    Acts(Box<Call>),
    /// An answer reaches the process that asked.
    Answered {
        node: NodeId,
        life: u32,
        event: Event,
    },
    Converged {
        node: NodeId,
        life: u32,
        group: GroupId,
        change: u64,
    },
    Starts(NodeId),
    Thaws(NodeId),
    Stalls {
        node: NodeId,
        length: Duration,
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
    pub(crate) faults: Vec<Planned>,
    pub(crate) checks: Checks,
    pub(crate) tally: Tally,
    pub(crate) timeline: Vec<(Time, String)>,
    pub(crate) healed: bool,
    /// The last call that is still under way reaches EC2 then.
    pub(crate) last_landing: Time,
    /// When it has to have converged; and the end of the run.
    pub(crate) quiet_from: Option<Time>,
    settings: Settings,
    pub(crate) plant: Option<Plant>,
    queue: BinaryHeap<Reverse<Entry>>,
    numbers: u64,
}

impl World {
    pub(crate) fn new(seed: u64, topology: Topology, plant: Option<Plant>) -> Self {
        let mut random = Random::new(seed ^ 0x5eed_0000_0000);
        let links = 1 + random.below(2) as u8;
        let settings = settings(topology, links, &mut random);
        let groups = usize::from(topology.groups);
        let machines =
            (0..topology.nodes).map(|node| Machine::new(NodeId(node), groups, &mut random)).collect();
        let faults = plan(topology, links, FAULTY, &mut random);
        let mut world = Self {
            now: Time::ZERO,
            topology,
            machines,
            net: Net::new(topology.nodes, &mut random),
            ec2: Ec2::new(topology.nodes, topology.groups, &mut random),
            checks: Checks::new(topology, &settings),
            tally: Tally::default(),
            timeline: Vec::new(),
            healed: false,
            last_landing: Time::ZERO,
            quiet_from: None,
            settings,
            plant,
            queue: BinaryHeap::new(),
            numbers: 0,
            faults,
            random,
        };
        for node in 0..topology.nodes {
            let after = world.random.spread(ms(1), secs(20));
            world.later(after, Next::Starts(NodeId(node)));
        }
        for at in 0..world.faults.len() {
            world.later(world.faults[at].at.since(Time::ZERO), Next::Begins(at));
        }
        world.later(LOOK_EVERY, Next::Looks);
        world.later(FAULTY, Next::Heals(0));
        world
    }

    pub(crate) fn later(&mut self, after: Duration, next: Next) {
        self.numbers += 1;
        self.queue.push(Reverse(Entry { at: self.now + after, number: self.numbers, next }));
    }

    pub(crate) fn say(&mut self, text: String) {
        self.timeline.push((self.now, text));
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

    fn over(&self) -> bool {
        self.quiet_from.is_some_and(|from| self.now >= from + super::check::CONVERGE + super::check::STAY)
    }

    fn happen(&mut self, next: Next) {
        match next {
            Next::Arrives { beat, sent, life, genuine } => self.arrives(beat, sent, life, genuine),
            Next::Acts(call) => self.acts(*call),
            Next::Answered { node, life, event } => {
                if self.machine(node).life == life {
                    self.tell(node, event);
                }
            }
            Next::Converged { node, life, group, change } => self.converged(node, life, group, change),
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

    pub(crate) fn machine(&mut self, node: NodeId) -> &mut Machine {
        &mut self.machines[usize::from(node.0)]
    }

    /// Starts an agent, unless one runs or there is no instance to run it.
    pub(crate) fn start(&mut self, node: NodeId) {
        let now = self.now;
        let mut settings = self.settings.clone();
        settings.me = node;
        settings.seed = self.random.next();
        let (plant, topology) = (self.plant, self.topology);
        let machine = self.machine(node);
        if machine.process.is_some() || !machine.up {
            return;
        }
        for (group, local) in settings.groups.iter_mut().zip(&machine.groups) {
            group.memory = local.memory.clone();
        }
        let local = machine.clock.local(now);
        let (nodes, groups) = (usize::from(topology.nodes), usize::from(topology.groups));
        machine.life += 1;
        let life = machine.life;
        machine.process = Some(Process {
            core: Core::new(Cluster::new(settings, local), plant, nodes, groups),
            wake_at: now,
            roles: vec![Role::Standby; groups],
            leaving: false,
            back_in: None,
        });
        self.say(format!("node {} starts (life {life})", node.0));
        self.checks.stir(now);
        let known = self.random.spread(ms(30), secs(3));
        for group in (0..topology.groups).map(GroupId) {
            let local = &self.machines[usize::from(node.0)].groups[usize::from(group.0)];
            let able = if local.able { Ok(()) } else { Err("an injected reason".into()) };
            let fit = local.fit;
            self.later(known, Next::Answered { node, life, event: Event::AbilityChanged { group, able } });
            self.later(known / 2, Next::Answered { node, life, event: Event::ServiceChanged { group, fit } });
        }
        let event = Event::IdentityLearned {
            instance: format!("i-{}", node.0),
            interfaces: vec![format!("eni-{}", node.0)],
        };
        self.later(known, Next::Answered { node, life, event });
        self.tell(node, Event::Ticked);
    }

    pub(crate) fn freeze(&mut self, node: NodeId, length: Duration) {
        let until = self.now + length;
        let machine = self.machine(node);
        if machine.process.is_some() && machine.frozen_until < until {
            machine.frozen_until = until;
            self.later(length, Next::Thaws(node));
        }
    }

    pub(crate) fn thaw(&mut self, node: NodeId) {
        let (now, timer_first) = (self.now, self.random.chance(500));
        let machine = self.machine(node);
        if machine.frozen(now) {
            return;
        }
        machine.thawed_at = now;
        self.checks.stir(now);
        let machine = self.machine(node);
        let waiting = std::mem::take(&mut machine.waiting);
        let life = machine.life;
        if timer_first {
            self.tell(node, Event::Ticked);
        }
        for event in waiting {
            if self.machine(node).life == life {
                self.tell(node, event);
            }
        }
    }

    /// Tells a process something, and carries out what it wants.
    pub(crate) fn tell(&mut self, node: NodeId, event: Event) {
        let now = self.now;
        self.tally.events += 1;
        let Some(machine) = self.machines.get_mut(usize::from(node.0)) else { return };
        if machine.frozen(now) {
            return machine.keep(event);
        }
        let Some(process) = &mut machine.process else { return };
        let local = machine.clock.local(now);
        process.core.handle(event, local);
        let due = process.core.cluster.next_deadline();
        let late = Duration::from_micros(self.random.below(1500));
        process.wake_at = machine.clock.world(due).max(now) + late;
        if due <= local {
            self.checks.fail(format!("node {} asks for a deadline that is over", node.0));
        }
        let mut commands = Vec::new();
        while let Some(command) = process.core.next_command() {
            commands.push(command);
        }
        for command in commands {
            self.carry_out(node, command);
        }
    }

    fn carry_out(&mut self, node: NodeId, command: Command) {
        match command {
            Command::Send(beat) => self.send(beat),
            Command::ReadAnchor { group, call } => self.call(node, Asks::Anchor { group, call }),
            Command::ReadInstance { node: of, call } => self.call(node, Asks::Instance { node: of, call }),
            Command::TakeAnchor { group, call, from } => {
                self.say(format!("node {} group {} takes from {from:?} (call {call})", node.0, group.0));
                self.call(node, Asks::Take { group, call, from });
            }
            Command::WriteCounter { group, n } => {
                let process = self.machine(node).process.as_ref();
                let Some(session) = process.map(|process| process.core.cluster.session()) else { return };
                self.call(node, Asks::Counter { group, counter: Counter { node, session, n } });
            }
            Command::WriteOwnTag { group } => self.call(node, Asks::OwnTag { group }),
            Command::Fence { .. }
            | Command::Probe { .. }
            | Command::ReadLease { .. }
            | Command::WriteLease { .. }
            | Command::Guard { .. } => {}
            Command::Converge { group, desired, change } => {
                self.say(format!("node {} group {} is to be {desired:?}", node.0, group.0));
                let takes = self.random.spread(ms(5), secs(2));
                let machine = self.machine(node);
                let life = machine.life;
                machine.groups[usize::from(group.0)].wanted = Some((desired, change));
                self.later(takes, Next::Converged { node, life, group, change });
            }
            Command::Store { group, memory } => {
                self.machine(node).groups[usize::from(group.0)].memory = memory;
            }
            Command::Tell(notice) => {
                let row = notice.row.map_or(String::new(), |row| format!(" (row {})", row.number()));
                self.say(format!("node {} {}: {}{row}", node.0, notice.id, notice.text));
                if notice.id == "role-changed" {
                    self.role_changed(node);
                }
            }
            Command::Exit => {
                self.say(format!("node {} ends", node.0));
                self.checks.stir(self.now);
                let machine = self.machine(node);
                let back = machine.process.as_ref().and_then(|process| process.back_in);
                machine.end_process();
                let back = if self.healed { Some(ms(500)) } else { back };
                if let Some(back) = back {
                    self.later(back, Next::Starts(node));
                }
            }
        }
    }

    fn send(&mut self, beat: Box<Heartbeat>) {
        let life = self.machine(beat.from).life;
        self.tally.datagrams += 1;
        let [first, again] = self.net.send(&beat, &mut self.random);
        let sent = self.now;
        if let Some(after) = again {
            self.later(after, Next::Arrives { beat: beat.clone(), sent, life, genuine: true });
        }
        if let Some(after) = first {
            self.later(after, Next::Arrives { beat, sent, life, genuine: true });
        }
    }

    fn arrives(&mut self, beat: Box<Heartbeat>, sent: Time, life: u32, genuine: bool) {
        let (from, to, at) = (beat.from, beat.to, self.now);
        if !self.machine(to).up {
            return;
        }
        if genuine {
            self.net.record(&beat, &mut self.random);
            let mine = self.machine(to).process.as_ref().map(|process| process.core.cluster.session());
            let knows_me = mine.is_some() && beat.echo.map(|echo| echo.session) == mine;
            let bits = |like: &dyn Fn(&standin::cluster::GroupReport) -> bool| {
                beat.groups.iter().filter(|it| like(it)).fold(0, |bits, it| bits | 1 << it.group.0)
            };
            let active = bits(&|it| it.role == Role::Active);
            let offers = bits(&|it| it.offer.is_some());
            self.net.arrived(from, to, Arrival { at, sent, life, knows_me, active, offers });
        }
        self.tell(to, Event::HeartbeatReceived(beat));
    }

    fn replays(&mut self, to: NodeId, until: Time) {
        if self.now >= until || self.healed {
            return;
        }
        if let Some(beat) = self.net.replay(to, &mut self.random) {
            self.tally.replayed += 1;
            let now = self.now;
            self.arrives(Box::new(beat), now, 0, false);
        }
        self.later(ms(20), Next::Replays { to, until });
    }

    fn converged(&mut self, node: NodeId, life: u32, group: GroupId, change: u64) {
        let machine = self.machine(node);
        if machine.life != life {
            return;
        }
        let local = &mut machine.groups[usize::from(group.0)];
        let Some((desired, _)) = local.wanted.filter(|(_, number)| *number == change) else { return };
        local.real = Some(desired);
        self.tell(node, Event::Converged { group, change });
    }
}

fn settings(topology: Topology, links: u8, random: &mut Random) -> Settings {
    let (interval, dead_after) =
        random.pick(&[(ms(250), secs(2)), (ms(250), secs(2)), (ms(250), secs(2)), (ms(500), secs(5))]);
    let hold = random.chance(50);
    let group = |first: u8, random: &mut Random| GroupSettings {
        when_silent: if hold { WhenSilent::Hold } else { WhenSilent::Take },
        release_when_isolated: random.chance(150),
        ..GroupSettings::of(
            (0..topology.members).map(|node| NodeId((node + first) % topology.members)).collect(),
        )
    };
    Settings {
        me: NodeId(0),
        nodes: topology.nodes,
        links,
        interval,
        warn_after: dead_after / 2,
        dead_after,
        first_dead_after: secs(30),
        call_timeout: CALL_TIMEOUT,
        config_hash: 1,
        seed: 0,
        groups: (0..topology.groups).map(|first| group(first, random)).collect(),
    }
}
