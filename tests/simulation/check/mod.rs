//! The checkers. They stand outside: they look at EC2's and DynamoDB's truth, at what the network delivered,
//! at the services, and at what each node says it is. Each names itself by a word, which is printed with what
//! it finds; its sentence and its bound are at its code.
//!
//! | word | of issue | where |
//! |---|---|---|
//! | `two-active` | (a) | `look` |
//! | `loser` | (b) | `look` |
//! | `lease-two` | (c) | `lease` |
//! | `guarded`, `duel`, `again` | (d) | `takes` |
//! | `blind`, `blame` | (e) | `takes`, `roles` |
//! | `peace`, `waits` | (f) | `peace`, `waits` |
//! | `nobody`, `rest` | (g) | `takes` |
//! | `recover-…` | | `recovery` |

pub(crate) mod lease;
pub(crate) mod look;
pub(crate) mod peace;
pub(crate) mod recovery;
pub(crate) mod roles;
pub(crate) mod takes;
pub(crate) mod waits;

use std::time::Duration;

use self::recovery::Attempts;

use standin::cluster::{GroupId, NodeId, Settings, Time};

use crate::chance::secs;
use crate::setup::Topology;
use crate::world::World;

/// After a wish a move is no takeover.
const WISH_LASTS: Duration = secs(60);
/// More calls of one node in one minute cost EC2's patience, per group.
const CALLS_PER_MINUTE: u32 = 400;

/// What the checkers remember of a group.
#[derive(Clone, Copy, Debug, Default)]
struct OfGroup {
    wished: Option<Time>,
    /// Somebody outside moved the anchor.
    moved: Option<Time>,
    /// Some node had the group in maintenance then.
    maintained: Option<Time>,
    takeovers: u32,
    last_takeover: Option<Time>,
    two_since: Option<Time>,
    unserved_since: Option<Time>,
    waited: Duration,
    converged_since: Option<Time>,
    reported: bool,
}

/// What they remember of a node in a group.
#[derive(Clone, Debug, Default)]
struct OfMember {
    /// Since when it could serve.
    could_since: Option<Time>,
    /// Since when its service outlives its loss of the anchor, although it could know.
    outlives_since: Option<Time>,
    /// In which life it was last told who holds the anchor, and when.
    knew: Option<(u32, Time)>,
    /// Takes by row 16, by what its disk has to remember.
    by_silence: u32,
    /// Failures of its service that it was told, and the last one.
    failures: u32,
    failed_at: Option<Time>,
    /// Since when its probe would be answered without a break.
    probe_ok_since: Option<Time>,
    /// It was told of maintenance, and nobody was told of its end.
    maintenance: bool,
}

pub(crate) struct Checks {
    /// The checker's word, and what it found.
    pub(crate) violation: Option<(&'static str, String)>,
    groups: Vec<OfGroup>,
    /// Per group and node.
    members: Vec<Vec<OfMember>>,
    calls: Vec<(Time, u32)>,
    /// Since when each node runs, and DynamoDB answers it.
    lease_ok_since: Vec<Option<Time>>,
    /// Of each node on each.
    attempts: Vec<Vec<Attempts>>,
    dead_after: Duration,
    /// When something last changed that is no node's decision.
    unrest: Time,
    looks: u64,
}

impl Checks {
    pub(crate) fn new(topology: Topology, settings: &Settings) -> Self {
        let groups = usize::from(topology.groups);
        let nodes = usize::from(topology.nodes);
        Self {
            violation: None,
            groups: vec![OfGroup::default(); groups],
            members: vec![vec![OfMember::default(); nodes]; groups],
            calls: vec![(Time::ZERO, 0); nodes],
            lease_ok_since: vec![None; nodes],
            attempts: vec![vec![Attempts::default(); nodes]; nodes],
            dead_after: settings.dead_after,
            unrest: Time::ZERO,
            looks: 0,
        }
    }

    pub(crate) fn fail(&mut self, checker: &'static str, text: String) {
        self.violation.get_or_insert((checker, text));
    }

    /// Something began, ended, or came late.
    pub(crate) fn stir(&mut self, now: Time) {
        self.unrest = now;
    }

    pub(crate) fn wished(&mut self, group: GroupId, now: Time) {
        self.groups[usize::from(group.0)].wished = Some(now);
    }

    pub(crate) fn moved(&mut self, group: GroupId, now: Time) {
        self.groups[usize::from(group.0)].moved = Some(now);
    }

    fn member(&mut self, node: NodeId, group: GroupId) -> &mut OfMember {
        &mut self.members[usize::from(group.0)][usize::from(node.0)]
    }

    /// Its disk is empty.
    pub(crate) fn forgot(&mut self, node: NodeId) {
        for group in &mut self.members {
            group[usize::from(node.0)] = OfMember::default();
        }
    }

    /// EC2 has told this process who holds the anchor.
    pub(crate) fn knows(&mut self, node: NodeId, group: GroupId, life: u32, now: Time) {
        self.member(node, group).knew = Some((life, now));
    }

    fn attempts(&mut self, by: NodeId, whom: NodeId) -> &mut Attempts {
        &mut self.attempts[usize::from(by.0)][usize::from(whom.0)]
    }

    fn told_of_maintenance(&self, node: NodeId, group: GroupId) -> bool {
        self.members[usize::from(group.0)][usize::from(node.0)].maintenance
    }

    /// An operator had the failures forgotten.
    pub(crate) fn cleaned(&mut self, node: NodeId, group: GroupId) {
        for it in &mut self.attempts[usize::from(node.0)] {
            it.forgive();
        }
        let member = self.member(node, group);
        (member.failures, member.failed_at) = (0, None);
    }

    pub(crate) fn asked_maintenance(&mut self, node: NodeId, group: GroupId, on: bool) {
        if on {
            self.member(node, group).maintenance = true;
        } else {
            for member in &mut self.members[usize::from(group.0)] {
                member.maintenance = false;
            }
        }
    }

    fn wished_lately(&self, group: GroupId, now: Time) -> bool {
        self.groups[usize::from(group.0)].wished.is_some_and(|at| now.since(at) < WISH_LASTS)
    }
}

impl World {
    /// `calls`: no node asks EC2 more than 400 times a minute and group.
    pub(crate) fn count_call(&mut self, by: NodeId) {
        let now = self.now;
        let groups = self.checks.groups.len() as u32;
        let (since, count) = &mut self.checks.calls[usize::from(by.0)];
        if now.since(*since) >= secs(60) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count > CALLS_PER_MINUTE * groups {
            let text = format!("node {} makes more than {CALLS_PER_MINUTE} EC2 calls a minute", by.0);
            self.fail("calls", text);
        }
    }

    fn members(&self) -> impl Iterator<Item = usize> + use<> {
        0..usize::from(self.topology.members)
    }

    /// The operators want nothing done, as far as any node that runs knows.
    fn in_maintenance(&self, group: usize) -> bool {
        self.members().any(|it| self.machines[it].groups[group].memory.maintenance.on)
    }
}
