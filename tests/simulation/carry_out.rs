//! Telling an agent what happens, and carrying out what its core wants.

use std::time::Duration;

use standin::cluster::{Command, Counter, Event, GroupId, Heartbeat, NodeId, Role, Time, Wish};

use crate::chance::{Chance, ms, secs};
use crate::model::calls::{Answer, Asks};
use crate::model::machine::Process;
use crate::model::net::Arrival;
use crate::model::service::name;
use crate::plant::Core;
use crate::run::named;
use crate::world::{Next, World};

impl World {
    /// Starts an agent, unless one runs or there is no instance to run it.
    pub(crate) fn start(&mut self, node: NodeId) {
        let now = self.now;
        let mut settings = self.settings.clone();
        settings.me = node;
        settings.seed = self.random.next();
        let plant = self.plant;
        let machine = self.machine(node);
        if machine.process.is_some() || !machine.up {
            return;
        }
        for (group, local) in settings.groups.iter_mut().zip(&machine.groups) {
            group.memory = local.memory.clone();
        }
        let local = machine.clock.local(now);
        let groups = settings.groups.len();
        machine.life += 1;
        let life = machine.life;
        machine.process = Some(Process {
            core: Core::new(settings, plant, local),
            wake_at: now,
            roles: vec![Role::Standby; groups],
            leaving: false,
            back_in: None,
        });
        self.say(|| format!("{} starts (life {life})", name(node)));
        self.checks.stir(now);
        let known = self.random.spread(ms(30), secs(3));
        for group in (0..self.topology.groups).map(GroupId) {
            let local = &self.machines[usize::from(node.0)].groups[usize::from(group.0)];
            let able = if local.able { Ok(()) } else { Err("an injected reason".into()) };
            let fit = local.fit;
            let able = Answer::Core(Event::AbilityChanged { group, able });
            self.later(known, Next::Answered { node, life, answer: able });
            let fit = Answer::Core(Event::ServiceChanged { group, fit });
            self.later(known / 2, Next::Answered { node, life, answer: fit });
        }
        let event = Event::IdentityLearned {
            instance: format!("i-{}", node.0),
            interfaces: vec![format!("eni-{}", node.0)],
        };
        self.later(known, Next::Answered { node, life, answer: Answer::Core(event) });
        self.tell(node, Event::Ticked);
    }

    pub(crate) fn freeze(&mut self, node: NodeId, length: Duration) {
        let until = self.now + length;
        let machine = self.machine(node);
        if machine.process.is_some() && machine.frozen_until < until {
            machine.frozen_until = until;
            machine.stalled_for = length;
            self.later(length, Next::Thaws(node));
        }
    }

    /// The core learns of its stall first: the shell's own loops ask it before they act.
    pub(crate) fn thaw(&mut self, node: NodeId) {
        let (now, timer_first) = (self.now, self.random.chance(500));
        let machine = self.machine(node);
        // Another process than the one that stood still, or still frozen for longer.
        if machine.frozen(now) || machine.frozen_until == Time::ZERO {
            return;
        }
        machine.frozen_until = Time::ZERO;
        machine.thawed_at = now;
        self.checks.stir(now);
        let machine = self.machine(node);
        let waiting = std::mem::take(&mut machine.waiting);
        let life = machine.life;
        if timer_first {
            self.tell(node, Event::Ticked);
        }
        for event in waiting {
            if let Event::Asked(Wish::TakeOver(group)) = event {
                self.checks.wished(group, now);
            }
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
        let mut commands = Vec::new();
        while let Some(command) = process.core.next_command() {
            commands.push(command);
        }
        if due <= local {
            self.fail("deadline", format!("{} asks for a deadline that is over", name(node)));
        }
        for command in commands {
            self.carry_out(node, command);
        }
    }

    fn carry_out(&mut self, node: NodeId, command: Command) {
        self.planted_calls(node, &command);
        match command {
            Command::Send(beat) => self.send(beat),
            Command::ReadAnchor { group, call } => self.call(node, Asks::Anchor { group, call }),
            Command::ReadInstance { node: of, call } => self.call(node, Asks::Instance { node: of, call }),
            Command::TakeAnchor { group, call, from } => {
                self.say(|| format!("{} group {} takes from {from:?} (call {call})", name(node), group.0));
                self.call(node, Asks::Take { group, call, from });
            }
            Command::WriteCounter { group, n } => {
                let process = self.machine(node).process.as_ref();
                let Some(session) = process.map(|process| process.core.cluster.session()) else { return };
                self.call(node, Asks::Counter { group, counter: Counter { node, session, n } });
            }
            Command::WriteOwnTag { group } => self.call(node, Asks::OwnTag { group }),
            Command::Fence { group, node: whom, call } => {
                self.say(|| format!("{} group {} fences {} (call {call})", name(node), group.0, name(whom)));
                self.check_fence(node, group, whom);
                self.call(node, Asks::Fence { group, node: whom, call });
            }
            Command::Recover { node: whom, remedy, call } => {
                self.say(|| format!("{} has {} recovered: {remedy:?} (call {call})", name(node), name(whom)));
                self.check_recovery(node, whom, remedy);
                self.call(node, Asks::Recover { node: whom, remedy, call });
            }
            Command::Probe { group, call } => self.probe(node, group, call),
            Command::ReadLease { group, call } => self.call(node, Asks::ReadLease { group, call }),
            Command::WriteLease { group, call, expect, lease } => {
                self.call(node, Asks::WriteLease { group, call, expect, lease });
            }
            Command::Guard { group, until } => self.set_guard(node, group, until),
            Command::Converge { group, desired, change } => self.converge(node, group, desired, change),
            Command::Store { group, memory } => {
                self.check_memory(node, group, &memory);
                self.machine(node).groups[usize::from(group.0)].memory = memory;
            }
            Command::Tell(notice) => {
                self.say(|| {
                    let row = notice.row.map_or(String::new(), |row| format!(" (row {})", row.number()));
                    let text = named(&notice.text);
                    let group = notice.group.map_or(String::new(), |group| format!(" group {}", group.0));
                    format!("{}{group} {}: {text}{row}", name(node), notice.id)
                });
                if notice.id == "role-changed" {
                    self.role_changed(node);
                }
            }
            Command::Exit => self.exits(node),
        }
    }

    fn exits(&mut self, node: NodeId) {
        self.say(|| format!("{} ends", name(node)));
        self.checks.stir(self.now);
        let machine = self.machine(node);
        let back = machine.process.as_ref().and_then(|process| process.back_in);
        machine.end_process();
        self.orphan_jobs(node);
        let back = if self.healed { Some(ms(500)) } else { back };
        if let Some(back) = back {
            self.later(back, Next::Starts(node));
        }
    }

    fn send(&mut self, beat: Box<Heartbeat>) {
        let life = self.machine(beat.from).life;
        self.tally.datagrams += 1;
        let [first, again] = self.net.send(&beat);
        let sent = self.now;
        if let Some(after) = again {
            self.later(after, Next::Arrives { beat: beat.clone(), sent, life, genuine: true });
        }
        if let Some(after) = first {
            self.later(after, Next::Arrives { beat, sent, life, genuine: true });
        }
    }

    pub(crate) fn arrives(&mut self, beat: Box<Heartbeat>, sent: Time, life: u32, genuine: bool) {
        let (from, to, at) = (beat.from, beat.to, self.now);
        if !self.machine(to).up {
            return;
        }
        if genuine {
            self.net.record(&beat);
            let mine = self.machine(to).process.as_ref().map(|process| process.core.cluster.session());
            let knows_me = mine.is_some() && beat.echo.map(|echo| echo.session) == mine;
            let bits = |like: &dyn Fn(&standin::cluster::GroupReport) -> bool| {
                beat.groups.iter().filter(|it| like(it)).fold(0, |bits, it| bits | 1 << it.group.0)
            };
            let active = bits(&|it| it.role == Role::Active);
            let offers = bits(&|it| it.offer.is_some());
            let (back_in, goodbye) = (beat.back_in.is_some(), beat.goodbye);
            let arrival = Arrival {
                at,
                sent,
                sequence: beat.sequence,
                life,
                knows_me,
                active,
                offers,
                back_in,
                goodbye,
            };
            self.net.arrived(from, to, arrival);
        }
        self.tell(to, Event::HeartbeatReceived(beat));
    }

    pub(crate) fn replays(&mut self, to: NodeId, until: Time) {
        if self.now >= until || self.healed {
            return;
        }
        if let Some(beat) = self.net.replay(to) {
            self.tally.replayed += 1;
            let now = self.now;
            self.arrives(Box::new(beat), now, 0, false);
        }
        self.later(ms(20), Next::Replays { to, until });
    }
}
