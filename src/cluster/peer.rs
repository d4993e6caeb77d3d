//! One peer: is it the peer (session), do we hear it (links), and what does it say (reports)?
//!
//! A peer's session is a random number that lives as long as its process. Whoever replays an old datagram
//! can pretend to be an old session, but cannot echo the nonce that we drew for the next one: so a session
//! that is new to us counts once it echoes our nonce, and with that we draw another. Nothing is on disk
//! and no wall clock is asked, so a re-imaged node is not taken for a replay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Running;
use super::heartbeat::{Echo, GroupReport, Heartbeat, Reply, Role};
use super::link::Link;
use super::node::{GroupId, LinkId, NodeId, NodeSet, Session};
use super::random::Random;
use super::recovery::Recovery;
use super::settings::{ASK_EVERY, FRESH, Settings};
use super::time::Time;

/// An unknown session is answered at most this often, so that replays cost little.
const CANDIDATE_EVERY: Duration = Duration::from_millis(20);
/// A request is answered at most this often.
const ANSWER_EVERY: Duration = Duration::from_millis(5);

/// A peer, as fine as an operator wants to know it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum PeerState {
    /// It was not heard since we started.
    NeverSeen,
    /// Datagrams come from its address, but none authenticates.
    KeyMismatch,
    /// It is heard.
    Online,
    /// It is silent for `warn-after`.
    Late,
    /// It is silent for `dead-after`.
    Lost,
    /// It announced a restart, and is not over its time.
    Restarting,
    /// It said goodbye.
    Left,
}

impl PeerState {
    /// As operators read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NeverSeen => "never seen",
            Self::KeyMismatch => "key mismatch",
            Self::Online => "online",
            Self::Late => "late",
            Self::Lost => "lost",
            Self::Restarting => "restarting",
            Self::Left => "left",
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) links: Vec<Link>,
    /// The confirmed session.
    pub(super) session: Option<Session>,
    pub(super) reports: Vec<GroupReport>,
    pub(super) hears: NodeSet,
    pub(super) config_hash: Option<u64>,
    pub(super) instance: Option<String>,
    pub(super) interfaces: Vec<String>,
    pub(super) left: bool,
    pub(super) farewell_seen: bool,
    pub(super) back_until: Option<Time>,
    pub(super) heard_at: Option<Time>,
    /// When we last took in what it says about itself, and when it had said that, by its clock.
    pub(super) said_at: Option<Time>,
    said_us: u64,
    /// Silence is counted from here at the earliest: our start, or the end of our last stall.
    from: Time,
    pub(super) running: Option<(Time, Running)>,
    refused_at: Option<Time>,
    nonce: u64,
    /// A stream of its own, so that a recording's nonces do not depend on what else is drawn.
    nonces: Random,
    echo: Option<Echo>,
    answered_at: Time,
    pub(super) asked_at: Time,
    pub(super) next_send: Time,
    was_silent: bool,
    was_late: bool,
    /// When a datagram of a session that we do not know came: nothing to believe, but a sign that it may be booting.
    #[serde(default)]
    pub(super) met_at: Option<Time>,
    /// What was done about its silence.
    #[serde(default)]
    pub(super) recovery: Recovery,
}

/// What receiving a heartbeat calls for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Received {
    /// It counts.
    pub(super) counts: bool,
    /// It is to be answered at once, with this echo.
    pub(super) answer: Option<Option<Echo>>,
    /// With it a session was confirmed.
    pub(super) confirmed: bool,
}

impl Peer {
    pub(super) fn new(id: NodeId, links: u8, random: &mut Random, now: Time) -> Self {
        let mut nonces = Random::new(random.next());
        Self {
            id,
            links: (0..links).map(|_| Link::new(now)).collect(),
            session: None,
            reports: Vec::new(),
            hears: NodeSet::default(),
            config_hash: None,
            instance: None,
            interfaces: Vec::new(),
            left: false,
            farewell_seen: false,
            back_until: None,
            heard_at: None,
            said_at: None,
            said_us: 0,
            from: now,
            running: None,
            refused_at: None,
            nonce: nonces.next(),
            nonces,
            echo: None,
            answered_at: Time::ZERO,
            asked_at: Time::ZERO,
            next_send: now,
            was_silent: false,
            was_late: false,
            met_at: None,
            recovery: Recovery::default(),
        }
    }

    /// A heartbeat that authenticated arrived.
    pub(super) fn receive(
        &mut self,
        beat: &Heartbeat,
        mine: Session,
        settings: &Settings,
        now: Time,
    ) -> Received {
        let link = usize::from(beat.link.0);
        if link >= self.links.len() {
            return Received::default();
        }
        let mut confirmed = false;
        if self.session != Some(beat.session) {
            if beat.echo != Some(Echo { session: mine, nonce: self.nonce }) {
                return self.meet(beat, now);
            }
            self.confirm(beat);
            confirmed = true;
        }
        if !self.links[link].receive(beat.sequence, beat.sent_us, now, settings.warn_after) {
            return Received { confirmed, ..Received::default() };
        }
        if let Some(reply) = beat.reply {
            let sent = Time::from_nanos(reply.sent_us.saturating_mul(1000));
            let held = Duration::from_micros(reply.held_us);
            self.links[link].measure(now.since(sent).saturating_sub(held));
        }
        self.learn(beat, now);
        let answer = (beat.ask || confirmed) && now.since(self.answered_at) >= ANSWER_EVERY;
        if answer {
            self.answered_at = now;
        }
        Received { counts: true, answer: answer.then_some(self.echo), confirmed }
    }

    /// A datagram from its address did not authenticate.
    pub(super) fn refuse(&mut self, link: LinkId, now: Time) {
        self.refused_at = Some(now);
        if let Some(link) = self.links.get_mut(usize::from(link.0)) {
            link.stats.refused += 1;
        }
    }

    /// A session that we do not know: it may be a restarted peer, or a replay. Answer it, so that it can
    /// echo our nonce; believe nothing.
    fn meet(&mut self, beat: &Heartbeat, now: Time) -> Received {
        self.met_at = Some(now);
        let echo = Some(Echo { session: beat.session, nonce: beat.nonce });
        if self.session.is_none() {
            self.echo = echo;
        }
        if now.since(self.answered_at) < CANDIDATE_EVERY {
            return Received::default();
        }
        self.answered_at = now;
        Received { counts: false, answer: Some(echo), confirmed: false }
    }

    fn confirm(&mut self, beat: &Heartbeat) {
        self.session = Some(beat.session);
        self.nonce = self.nonces.next();
        self.left = false;
        self.back_until = None;
        self.running = None;
        self.said_us = 0;
        for link in &mut self.links {
            link.restart();
        }
    }

    fn learn(&mut self, beat: &Heartbeat, now: Time) {
        self.echo = Some(Echo { session: beat.session, nonce: beat.nonce });
        self.heard_at = Some(now);
        self.refused_at = None;
        // A slower link brings what a faster one has long overtaken: a sign of life, and no news.
        if beat.sent_us < self.said_us {
            return;
        }
        self.said_us = beat.sent_us;
        self.said_at = Some(now);
        self.hears = beat.hears;
        self.config_hash = Some(beat.config_hash);
        self.farewell_seen = beat.farewell_seen;
        self.left |= beat.goodbye;
        self.back_until = beat.back_in.map(|in_| now + in_);
        if beat.instance.is_some() && self.instance != beat.instance {
            self.instance.clone_from(&beat.instance);
        }
        if !beat.interfaces.is_empty() && self.interfaces != beat.interfaces {
            self.interfaces.clone_from(&beat.interfaces);
        }
        self.reports.clone_from(&beat.groups);
    }

    /// How long it is silent, from receipt.
    pub(super) fn silence(&self, now: Time) -> Duration {
        now.since(self.heard_at.unwrap_or(self.from).max(self.from))
    }

    /// We did not run: silence is counted anew, but for a peer that had been silent before.
    pub(super) fn count_anew(&mut self, now: Time) {
        if !self.was_silent {
            self.from = now;
        }
    }

    /// When its silence will have lasted so long.
    pub(super) fn silent_at(&self, after: Duration) -> Time {
        self.heard_at.unwrap_or(self.from).max(self.from) + after
    }

    /// Heard: authenticated, session confirmed, on any link, less than dead-after ago, and not gone.
    pub(super) fn heard(&self, now: Time, settings: &Settings) -> bool {
        self.heard_at.is_some() && !self.left && self.silence(now) < settings.dead_after
    }

    /// It announced a restart whose time is not over.
    pub(super) fn back_soon(&self, now: Time) -> bool {
        self.back_until.is_some_and(|until| now < until)
    }

    /// Silent for dead-after (never heard: for first-dead-after), and not announced.
    pub(super) fn silent(&self, now: Time, settings: &Settings) -> bool {
        let dead_after =
            if self.heard_at.is_some() { settings.dead_after } else { settings.first_dead_after };
        !self.back_soon(now) && self.silence(now) >= dead_after
    }

    pub(super) fn late(&self, now: Time, settings: &Settings) -> bool {
        self.heard_at.is_some() && !self.left && self.silence(now) >= settings.warn_after
    }

    /// Whether it has become late or silent since this was last asked: then evidence is wanted at once.
    pub(super) fn newly_quiet(&mut self, now: Time, settings: &Settings) -> (bool, bool) {
        let late = self.late(now, settings);
        let silent = self.silent(now, settings) || self.left;
        let news = (late && !self.was_late, silent && !self.was_silent);
        self.was_late = late;
        self.was_silent = silent;
        news
    }

    pub(super) fn observe_links(&mut self, now: Time, settings: &Settings) {
        for link in &mut self.links {
            link.observe(now, self.from, settings.warn_after, settings.dead_after);
        }
    }

    pub(super) fn state(&self, now: Time, settings: &Settings) -> PeerState {
        let refused = self.refused_at.is_some_and(|at| now.since(at) < settings.dead_after.max(FRESH));
        if self.left {
            PeerState::Left
        } else if self.back_soon(now) && self.silence(now) >= settings.warn_after {
            PeerState::Restarting
        } else if self.heard_at.is_some() && self.silence(now) < settings.warn_after {
            PeerState::Online
        } else if self.heard(now, settings) {
            PeerState::Late
        } else if refused {
            PeerState::KeyMismatch
        } else if self.heard_at.is_some() {
            PeerState::Lost
        } else {
            PeerState::NeverSeen
        }
    }

    pub(super) fn report(&self, group: GroupId) -> Option<&GroupReport> {
        self.reports.iter().find(|report| report.group == group)
    }

    pub(super) fn says_active(&self, group: GroupId) -> bool {
        self.report(group).is_some_and(|report| report.role == Role::Active)
    }

    /// EC2's word, if it is young and nothing was heard since it was asked.
    pub(super) fn running(&self, now: Time) -> Option<Running> {
        let (sent, running) = self.running?;
        let fresh = now.since(sent) < FRESH && self.heard_at.is_none_or(|heard| heard < sent);
        fresh.then_some(running)
    }

    /// When EC2 was asked for that.
    pub(super) fn asked_running(&self) -> Time {
        self.running.map_or(Time::ZERO, |(sent, _)| sent)
    }

    /// Whether it must be asked now: late, but not yet long silent.
    pub(super) fn wants_asking(&self, now: Time, settings: &Settings) -> bool {
        self.late(now, settings) && self.silence(now) < settings.dead_after * 2
    }

    pub(super) fn ask_interval(settings: &Settings) -> Duration {
        ASK_EVERY.min(settings.interval)
    }

    /// Fills in the parts of a heartbeat that are about this peer and link.
    pub(super) fn address(&mut self, beat: &mut Heartbeat, link: LinkId, echo: Option<Echo>, now: Time) {
        let at = &mut self.links[usize::from(link.0)];
        beat.to = self.id;
        beat.link = link;
        beat.sequence = at.next_sequence();
        beat.reply = at.reply(now).map(|(sent_us, held_us)| Reply { sent_us, held_us });
        beat.nonce = self.nonce;
        beat.echo = echo.or(self.echo);
        beat.farewell_seen = self.left || self.back_until.is_some();
    }

    /// Whether every link to it was heard, and it hears us: the way in and the way out are good.
    pub(super) fn hears_us(&self, me: NodeId, now: Time, settings: &Settings) -> bool {
        self.heard(now, settings) && self.hears.contains(me)
    }
}

#[cfg(test)]
mod tests;
