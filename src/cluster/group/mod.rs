//! One group on this node: what is known, what is decided, what is done about it.

mod counter;
mod eligible;
mod facts;
mod failures;
mod fence;
mod holding;
pub(super) mod knowledge;
pub(super) mod lease;
mod offer;
mod probe;
mod role;
#[cfg(test)]
mod side;
pub(super) mod take;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use self::counter::{Rest, Writer};
use self::fence::Fence;
pub(super) use self::fence::unwell;
use self::holding::Retakes;
use self::knowledge::{Change, Knowledge};
use self::lease::Leasing;
use self::offer::{Heard, Made};
use self::probe::Probes;
use self::take::{Gate, Take};
use super::command::{Command, Desired};
use super::decision::{Action, Row, decide};
use super::event::Running;
use super::heartbeat::{GroupReport, Maintenance, Role, Tally};
use super::node::{GroupId, NodeId, Session};
use super::notice::{Level, Notice};
use super::peer::Peer;
use super::random::Random;
use super::settings::{GroupSettings, Memory, SETTLE, Settings};
use super::time::Time;

/// What a group may look at.
pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    pub(super) peers: &'a [Peer],
    pub(super) now: Time,
    pub(super) started: Time,
    /// When this agent last found that it had not run for `warn-after` or more.
    pub(super) stalled_at: Option<Time>,
    /// EC2's word on our own instance, and when it was asked.
    pub(super) own_running: Option<(Time, Running)>,
}

impl Context<'_> {
    /// This agent has just not run for a while: what it believes to have seen may be old.
    pub(super) fn just_stalled(&self) -> bool {
        self.stalled_at.is_some_and(|at| self.now.since(at) < SETTLE)
    }
}

/// What a group leaves behind.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Outbox {
    #[serde(skip)]
    pub(super) commands: VecDeque<Command>,
    pub(super) random: Random,
    pub(super) calls: u64,
    /// What we say has changed: say it now, not at the next interval.
    pub(super) urgent: bool,
}

impl Outbox {
    pub(super) fn call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) role: Role,
    pub(super) role_since: Time,
    pub(super) role_reason: (Row, String),
    pub(super) row: Row,
    pub(super) row_since: Time,
    pub(super) gate: Option<Gate>,
    pub(super) knowledge: Knowledge,
    pub(super) armed: Option<NodeId>,
    pub(super) term: u64,
    pub(super) fit: bool,
    /// What the service is doing, for the peers.
    pub(super) tally: Tally,
    pub(super) able: Result<(), String>,
    pub(super) memory: Memory,
    pub(super) leaving: bool,
    pub(super) desired: Option<Desired>,
    pub(super) converged: bool,
    change: u64,
    take: Take,
    rest: Rest,
    writer: Writer,
    offer: Option<Made>,
    heard_offer: Option<Heard>,
    accepted: Option<(NodeId, u64)>,
    claims: Vec<Option<(Session, u64)>>,
    alarmed: Option<String>,
    pub(super) lease: Option<Leasing>,
    lease_in_grace: bool,
    /// The guard outlives the agent: before this one has told it anything it does what the last one said.
    guard_told: bool,
    retakes: Retakes,
    without_anchor: Option<Time>,
    aside_until: Option<Time>,
    fence: Option<Fence>,
    probes: Probes,
    /// An operator wants this node to take the group whatever is known; until then.
    forced: Option<Time>,
    /// The preferred node that could take the group back, and since when.
    preferred: Option<(NodeId, Time)>,
}

impl Group {
    pub(super) fn new(
        id: GroupId,
        settings: &GroupSettings,
        of: &Settings,
        random: &mut Random,
        now: Time,
    ) -> Self {
        let memory = settings.memory.clone();
        let take = Take { by_silence: memory.silent_takeovers.iter().copied().collect(), ..Take::default() };
        Self {
            id,
            role: Role::Standby,
            role_since: now,
            role_reason: (Row::NotSettled, "an agent always starts as standby".into()),
            row: Row::NotSettled,
            row_since: now,
            gate: None,
            knowledge: Knowledge::new(now),
            armed: None,
            term: memory.term,
            fit: true,
            tally: Tally::default(),
            able: Err("this node's network interface in EC2 is not known yet".into()),
            memory,
            leaving: false,
            desired: None,
            converged: false,
            change: 0,
            take,
            rest: Rest::default(),
            writer: Writer::default(),
            offer: None,
            heard_offer: None,
            accepted: None,
            claims: vec![None; usize::from(of.nodes)],
            alarmed: None,
            lease: settings.lease.map(|lease| Leasing::new(lease, of.me, Random::new(random.next()), now)),
            lease_in_grace: false,
            guard_told: false,
            retakes: Retakes::default(),
            without_anchor: None,
            aside_until: None,
            fence: None,
            probes: Probes::default(),
            forced: None,
            preferred: None,
        }
    }

    /// Looks at everything and acts. Safe to call at any time: without news it does nothing.
    pub(super) fn evaluate(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        if !self.settings(cx).nodes.contains(&cx.settings.me) {
            return;
        }
        self.hear(cx, out);
        self.tend_failures(cx, out);
        self.tend_probe(cx, out);
        // A decision can change the role, and a role the decision: twice at most.
        for _ in 0..3 {
            let view = self.view(cx);
            let (row, action) = decide(&view);
            self.note(row, cx, out);
            let role = self.role;
            self.forget_fence(row, cx);
            self.act(row, action, &view, cx, out);
            if role == self.role {
                break;
            }
        }
        self.tend_failback(cx, out);
        self.tend_offer(cx, out);
        self.tend_counter(cx, out);
        if self.role == Role::Active {
            self.tend_fence(cx, out);
        }
        self.tend_aside(cx, out);
        let watch = self.watch(cx);
        self.tend_lease(watch, cx, out);
        self.tend_guard(cx, out);
        self.tend_anchor(cx, out);
        let call = out.calls + 1;
        if self.knowledge.read_due(watch, call, cx.now) {
            out.calls = call;
            out.commands.push_back(Command::ReadAnchor { group: self.id, call });
        }
    }

    fn act(
        &mut self,
        row: Row,
        action: Action,
        view: &super::decision::View,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        if !matches!(action, Action::Take(_)) {
            self.gate = None;
            self.take.want(None, cx.now);
            self.accepted = None;
        }
        if self.forced(view, cx, out) {
            return;
        }
        match action {
            Action::Keep => self.keep(row, cx, out),
            Action::Serve { repair } => self.serve(repair, cx, out),
            Action::Wait => self.stand_by(view, out),
            Action::Alarm => {
                self.stand_by(view, out);
                self.alarm("stranger", "the anchor is attached to something that is no node of this cluster; look who took it, and detach it: a node takes what is with nobody", cx, out);
            }
            Action::Yield => self.yield_to(view, cx, out),
            Action::Become => self.become_owner(row, cx, out),
            Action::Release => {
                let reason = if view.lapsed {
                    "the lease has lapsed, or is not ours any more"
                } else {
                    "isolated, and when-isolated is \"release\""
                };
                self.become_standby(row, reason, cx, out);
            }
            Action::Offer => {
                self.make_offer(self.taker(cx), cx, out);
                self.keep(row, cx, out);
            }
            Action::Take(from) => {
                if self.role == Role::Standby {
                    self.stand_by(view, out);
                } else {
                    self.serve(false, cx, out);
                }
                self.try_take(row, view.anchor, from, cx, out);
            }
        }
    }

    /// In rows that change nothing, an active node goes on serving without changing EC2.
    fn keep(&mut self, row: Row, cx: &Context<'_>, out: &mut Outbox) {
        // In maintenance nothing begins, but what repairs EC2 ends.
        let repairs = self.desired == Some(Desired::Serve { repair: true });
        if self.role == Role::Active && (row != Row::Maintenance || repairs) {
            self.serve(false, cx, out);
        }
    }

    /// Once settled, a service that still runs as active goes to its standby state (rows 11 to 19).
    fn stand_by(&mut self, view: &super::decision::View, out: &mut Outbox) {
        if view.settled {
            self.want(Desired::Standby, out);
        }
    }

    pub(super) fn store(&self, out: &mut Outbox) {
        out.commands.push_back(Command::Store { group: self.id, memory: self.memory.clone() });
    }

    pub(super) fn want(&mut self, desired: Desired, out: &mut Outbox) {
        if self.desired == Some(desired) {
            return;
        }
        self.desired = Some(desired);
        self.converged = false;
        self.change += 1;
        out.commands.push_back(Command::Converge { group: self.id, desired, change: self.change });
    }

    pub(super) fn converged(&mut self, change: u64) {
        self.converged |= change == self.change;
    }

    /// What we say about the group in each heartbeat to `to`.
    pub(super) fn report(&self, to: NodeId, cx: &Context<'_>) -> GroupReport {
        let why_not = self.why_not(cx);
        GroupReport {
            group: self.id,
            role: self.role,
            term: self.term,
            eligible: why_not.is_none(),
            why_not,
            fit: self.fit_here(cx),
            owner: self.knowledge.anchor(cx.now).1,
            fail_count: self.memory.fail_count,
            maintenance: self.memory.maintenance,
            offer: self.offer.as_ref().and_then(|offer| offer.as_said(cx.now)),
            ready: self.ready_for(to, cx),
            tally: self.tally,
        }
    }

    fn note(&mut self, row: Row, cx: &Context<'_>, out: &mut Outbox) {
        if row == self.row {
            return;
        }
        self.row = row;
        self.row_since = cx.now;
        let text = format!("row {}: {}", row.number(), row.situation());
        self.tell(Level::Info, "decided", text, cx, out);
    }

    pub(super) fn tell(
        &self,
        level: Level,
        id: &'static str,
        text: String,
        cx: &Context<'_>,
        out: &mut Outbox,
    ) {
        out.commands.push_back(Command::Tell(Notice {
            at: cx.now,
            level,
            id,
            group: Some(self.id),
            row: Some(self.row),
            text,
        }));
    }

    /// Raises an alarm once until something else is alarming, or the role changes.
    fn alarm(&mut self, id: &'static str, text: &str, cx: &Context<'_>, out: &mut Outbox) {
        if self.alarmed.as_deref() != Some(id) {
            self.alarmed = Some(id.into());
            self.tell(Level::Alarm, id, text.into(), cx, out);
        }
    }

    pub(super) fn settings<'a>(&self, cx: &Context<'a>) -> &'a GroupSettings {
        &cx.settings.groups[usize::from(self.id.0)]
    }

    /// The peers that are in this group.
    pub(super) fn members<'a>(&self, cx: &Context<'a>) -> impl Iterator<Item = &'a Peer> {
        let nodes = &self.settings(cx).nodes;
        cx.peers.iter().filter(|peer| nodes.contains(&peer.id))
    }

    /// The next moment at which time alone changes something.
    pub(super) fn deadline(&self, cx: &Context<'_>) -> Option<Time> {
        let patience = self.row_since + cx.settings.patience();
        let step = self.gate.as_ref().and_then(Gate::until);
        [
            Some(self.knowledge.next_read(self.watch(cx), cx.now)),
            Some(self.knowledge.stale_at()),
            matches!(self.row, Row::OwnUnfit | Row::HolderIdle).then_some(patience),
            step,
            self.offer.as_ref().map(Made::deadline),
            self.fence.as_ref().and_then(Fence::deadline),
            self.probes.deadline(),
            self.failures_over(cx),
            self.forced,
            self.aside_until,
            self.failback_at(cx),
            self.holding_deadline(self.watch(cx), cx),
            self.heard_offer.map(|heard| heard.take_by),
            self.writer.deadline(),
            self.rest.deadline().filter(|_| self.row == Row::CounterAtRest),
            Some(cx.started + cx.settings.first_dead_after),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > cx.now)
        .min()
    }

    pub(super) fn set_maintenance(&mut self, setting: Maintenance, cx: &Context<'_>, out: &mut Outbox) {
        if setting <= self.memory.maintenance {
            return;
        }
        let was = self.memory.maintenance.on;
        self.memory.maintenance = setting;
        self.store(out);
        out.urgent = true;
        if was && !setting.on {
            self.knowledge.changed(Change::Unknown, cx.now);
        }
        let text =
            if setting.on { "maintenance is on: standin changes nothing" } else { "maintenance is off" };
        self.tell(Level::Info, "maintenance", text.into(), cx, out);
    }
}
