//! The core: who is active, and why. Pure: no tokio, no sockets, no clock, no AWS.
//!
//! The shell tells it facts ([`Event`]) and the time; it answers with a queue of [`Command`]s and one
//! deadline. [`decision`] is the table; [`Cluster`] keeps what the table looks at.

pub mod anchor;
pub mod command;
pub mod decision;
pub mod event;
mod group;
pub mod heartbeat;
mod instances;
pub mod lease;
mod leaving;
pub mod link;
pub mod node;
pub mod notice;
mod peer;
mod random;
mod recovery;
mod sending;
pub mod settings;
pub mod snapshot;
mod stance;
pub mod time;

pub use anchor::{AnchorRead, Counter, Owner};
pub use command::{Command, Desired, Remedy, TakeFrom};
pub use decision::Row;
pub use event::{Event, Failure, Running, ServiceFailure, Shutdown, Wish};
pub use group::take::Gate;
pub use heartbeat::{GroupReport, Heartbeat, Maintenance, Offer, Role, Tally, WhyNot};
pub use lease::Lease;
pub use link::LinkState;
pub use node::{GroupId, LinkId, NodeId, NodeSet, Session};
pub use notice::{Level, Notice};
pub use peer::PeerState;
pub use random::Random;
pub use settings::{
    Fencing, GroupSettings, LeaseSettings, Memory, RecoverySettings, Settings, WhenLost, WhenSilent,
};
pub use snapshot::Snapshot;
pub use stance::Stance;
pub use time::Time;

use serde::{Deserialize, Serialize};

use std::collections::VecDeque;

use self::group::{Context, Group, Outbox};
use self::instances::InstanceReads;
use self::leaving::{FAREWELL, Leaving};
use self::peer::{Peer, Received};
use self::recovery::Recovery;

/// This node's view of the cluster, and its decisions.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cluster {
    settings: Settings,
    session: Session,
    started: Time,
    /// The deadline that we last asked for: who wakes us much later has stalled us.
    due: Time,
    peers: Vec<Peer>,
    instance_reads: Vec<InstanceReads>,
    groups: Vec<Group>,
    out: Outbox,
    identity: Option<(String, Vec<String>)>,
    leaving: Option<Leaving>,
    stalls: u64,
    stalled_at: Option<Time>,
    /// The questions about our own instance, which fencing needs to know running.
    own_reads: InstanceReads,
    own_running: Option<(Time, Running)>,
}

impl Cluster {
    /// A core that has just started: standby for every group.
    pub fn new(settings: Settings, now: Time) -> Self {
        let mut random = Random::new(settings.seed);
        let session = Session(random.next());
        let mut peers = (0..settings.nodes)
            .map(NodeId)
            .filter(|node| *node != settings.me)
            .map(|node| Peer::new(node, settings.links, &mut random, now))
            .collect::<Vec<_>>();
        let groups = settings
            .groups
            .iter()
            .zip(0..)
            .map(|(group, id)| Group::new(GroupId(id), group, &settings, &mut random, now))
            .collect();
        let out = Outbox { commands: VecDeque::new(), random, calls: 0, urgent: false };
        let begun = |peer: &Peer| settings.groups.iter().any(|it| it.memory.restarting.contains(&peer.id));
        for peer in peers.iter_mut().filter(|peer| begun(peer)) {
            peer.recovery = Recovery::begun(now);
        }
        let instance_reads = vec![InstanceReads::default(); peers.len()];
        Self {
            settings,
            session,
            started: now,
            due: now,
            peers,
            instance_reads,
            groups,
            out,
            identity: None,
            leaving: None,
            stalls: 0,
            stalled_at: None,
            own_reads: InstanceReads::default(),
            own_running: None,
        }
    }

    /// Takes in a fact. Commands are then in [`Self::next_command`], the next deadline in
    /// [`Self::next_deadline`].
    pub fn handle(&mut self, event: Event, now: Time) {
        self.notice_stall(now);
        self.take_in(event, now);
        self.let_time_pass(now);
        self.due = self.deadline(now);
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.out.commands.pop_front()
    }

    /// When to say [`Event::Ticked`], if nothing else happens before.
    pub const fn next_deadline(&self) -> Time {
        self.due
    }

    /// This process's session.
    pub const fn session(&self) -> Session {
        self.session
    }

    /// What this core was told when it was made.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether an input at this moment would come so late that this process cannot have run meanwhile.
    pub fn is_stalled(&self, now: Time) -> bool {
        now.since(self.due) >= self.settings.interval
    }

    /// Everything that an operator may want to know.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        snapshot::of(self, now)
    }

    /// A gap in our own running: others' silence is not to be counted over it; after a long one EC2 may
    /// say anything.
    fn notice_stall(&mut self, now: Time) {
        if !self.is_stalled(now) {
            return;
        }
        let gap = now.since(self.due);
        self.stalls += 1;
        for peer in &mut self.peers {
            peer.count_anew(now);
            peer.recovery.stalled();
        }
        if gap < self.settings.warn_after {
            return;
        }
        for group in &mut self.groups {
            group.knowledge.changed(group::knowledge::Change::Unknown, now);
        }
        self.stalled_at = Some(now);
        let text = format!("this agent did not run for {} ms; it counts silence anew", gap.as_millis());
        self.tell(Level::Warn, "stalled", text, now);
    }

    fn take_in(&mut self, event: Event, now: Time) {
        match event {
            Event::Ticked => {}
            Event::HeartbeatReceived(beat) => self.heartbeat_received(&beat, now),
            Event::DatagramRefused { peer, link } => {
                if let Some(peer) = self.peers.iter_mut().find(|it| it.id == peer) {
                    peer.refuse(link, now);
                }
            }
            Event::AnchorRead { group, call, answer } => {
                self.with_group(group, now, |it, cx, out| it.anchor_read(call, answer, cx, out));
            }
            Event::TakeAnswered { group, call, answer } => {
                self.with_group(group, now, |it, cx, out| it.take_answered(call, answer, cx, out));
            }
            Event::InstanceRead { node, call, answer } => self.instance_read(node, call, answer),
            Event::CounterWritten { .. } => {}
            Event::Fenced { group, node, call, answer } => {
                if answer.is_ok() {
                    self.note_fenced(node, now);
                }
                self.with_group(group, now, |it, cx, out| it.fence_answered(call, answer, cx, out));
            }
            Event::Recovered { node, call, answer } => self.recovery_answered(node, call, answer, now),
            Event::Probed { group, call, answered } => {
                self.with_group(group, now, |it, cx, _| it.probed(call, answered, cx));
            }
            Event::LeaseRead { group, call, answer } => {
                self.with_group(group, now, |it, cx, out| it.lease_read(call, answer, cx, out));
            }
            Event::LeaseWritten { group, call, answer } => {
                self.with_group(group, now, |it, cx, out| it.lease_written(call, answer, cx, out));
            }
            Event::ServiceFailed { group, how } => {
                self.with_group(group, now, |it, cx, out| it.service_failed(how, cx, out));
            }
            Event::OwnTagWritten { group, ok } => {
                self.with_group(group, now, |it, cx, _| it.own_tag_written(ok, cx));
            }
            Event::Converged { group, change } => {
                self.with_group(group, now, |it, _, _| it.converged(change));
            }
            Event::IdentityLearned { instance, interfaces } => {
                self.identity = Some((instance, interfaces));
                self.out.urgent = true;
            }
            Event::AbilityChanged { group, able } => {
                self.with_group(group, now, |it, _, out| {
                    out.urgent |= it.able.is_ok() != able.is_ok();
                    it.able = able;
                });
            }
            Event::ServiceChanged { group, fit } => {
                self.with_group(group, now, |it, _, out| {
                    out.urgent |= it.fit != fit;
                    it.fit = fit;
                });
            }
            // It travels with the next heartbeat: nobody decides by it.
            Event::Counted { group, tally } => self.with_group(group, now, |it, _, _| it.tally = tally),
            Event::Asked(wish) => self.asked(wish, now),
            Event::ShutdownAsked(how) => self.leave(how, now),
        }
    }

    fn heartbeat_received(&mut self, beat: &Heartbeat, now: Time) {
        if beat.to != self.settings.me {
            return;
        }
        let Some(at) = self.peers.iter().position(|peer| peer.id == beat.from) else { return };
        let peer = &mut self.peers[at];
        let was = peer.state(now, &self.settings);
        let Received { counts, answer, confirmed } = peer.receive(beat, self.session, &self.settings, now);
        if counts && matches!(was, PeerState::NeverSeen | PeerState::Lost | PeerState::Left) {
            let text = format!("{{node {}}} is heard", beat.from.0);
            self.tell(Level::Info, "peer-heard", text, now);
        }
        self.out.urgent |= confirmed;
        if let Some(echo) = answer {
            self.send_to(at, echo, now);
        }
    }

    fn asked(&mut self, wish: Wish, now: Time) {
        match wish {
            Wish::Switchover(group, to) => self.with_group(group, now, |it, cx, out| {
                if it.role == Role::Active {
                    it.switch_over(to, cx, out);
                }
            }),
            Wish::Maintenance(group, on) => self.with_group(group, now, |it, cx, out| {
                let version = it.memory.maintenance.version.saturating_add(1);
                it.set_maintenance(Maintenance { version, on }, cx, out);
            }),
            Wish::Standby(group, standby) => self.with_group(group, now, |it, _, out| {
                it.memory.standby = standby;
                it.store(out);
                out.urgent = true;
            }),
            Wish::Cleanup(group) => {
                self.forget_attempts(group);
                self.with_group(group, now, |it, cx, out| {
                    it.forget_failures("an operator cleaned up", cx, out);
                });
            }
            Wish::TakeOver(group) => self.with_group(group, now, |it, cx, out| it.force(cx, out)),
        }
    }

    fn with_group(
        &mut self,
        group: GroupId,
        now: Time,
        run: impl FnOnce(&mut Group, &Context<'_>, &mut Outbox),
    ) {
        let Some(group) = self.groups.get_mut(usize::from(group.0)) else { return };
        let cx = Context {
            settings: &self.settings,
            peers: &self.peers,
            now,
            started: self.started,
            stalled_at: self.stalled_at,
            own_running: self.own_running,
        };
        run(group, &cx, &mut self.out);
    }

    /// What a group may look at, at one moment.
    fn context(&self, now: Time) -> Context<'_> {
        Context {
            settings: &self.settings,
            peers: &self.peers,
            now,
            started: self.started,
            stalled_at: self.stalled_at,
            own_running: self.own_running,
        }
    }

    fn let_time_pass(&mut self, now: Time) {
        for at in 0..self.peers.len() {
            let peer = &mut self.peers[at];
            peer.observe_links(now, &self.settings);
            let (late, silent) = peer.newly_quiet(now, &self.settings);
            if late || silent {
                self.fell_quiet(at, silent, now);
            }
        }
        for group in 0..self.groups.len() {
            let id = GroupId(u8::try_from(group).unwrap_or(u8::MAX));
            self.with_group(id, now, |it, cx, out| it.evaluate(cx, out));
        }
        self.tend_recovery(now);
        self.read_instances(now);
        self.tend_leaving(now);
        self.send_due(now);
    }

    /// Evidence is gathered while a peer is late, so that at dead-after it costs nothing.
    fn fell_quiet(&mut self, at: usize, silent: bool, now: Time) {
        let peer = &self.peers[at];
        let (id, left) = (peer.id, peer.left);
        let reads = &mut self.instance_reads[at];
        reads.ask_now();
        for group in &mut self.groups {
            if silent {
                group.knowledge.closely(now);
            }
            group.knowledge.ask_now();
            if let Some(lease) = &mut group.lease {
                lease.ask_now();
            }
        }
        if silent {
            reads.closely(now);
            let what = if left { "has said goodbye" } else { "is silent" };
            self.tell(Level::Warn, "peer-silent", format!("{{node {}}} {what}", id.0), now);
        } else {
            self.tell(Level::Info, "peer-late", format!("{{node {}}} is late", id.0), now);
        }
    }

    fn deadline(&self, now: Time) -> Time {
        let mut at = now + self.settings.interval;
        let mut earlier = |candidate: Time| {
            if candidate > now {
                at = at.min(candidate);
            }
        };
        for (peer, reads) in self.peers.iter().zip(&self.instance_reads) {
            earlier(peer.next_send);
            for after in [self.settings.warn_after, self.settings.dead_after, self.settings.first_dead_after]
            {
                earlier(peer.silent_at(after));
            }
            if peer.wants_asking(now, &self.settings) {
                earlier(peer.asked_at + Peer::ask_interval(&self.settings));
            }
            if let Some(back) = peer.back_until {
                earlier(back);
            }
            earlier(reads.next());
        }
        let cx = self.context(now);
        for group in &self.groups {
            if let Some(deadline) = group.deadline(&cx) {
                earlier(deadline);
            }
        }
        if let Some(said) = self.leaving.and_then(|leaving| leaving.farewell) {
            earlier(said + FAREWELL);
        }
        at
    }

    fn tell(&mut self, level: Level, id: &'static str, text: String, now: Time) {
        let notice = Notice { at: now, level, id, group: None, row: None, text };
        self.out.commands.push_back(Command::Tell(notice));
    }
}

#[cfg(test)]
mod tests;
