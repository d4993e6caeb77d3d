//! Everything that an operator may want to know of the core, at one moment, as plain values.

use std::time::Duration;

use super::Cluster;
use super::anchor::{Counter, Owner};
use super::command::Desired;
use super::decision::Row;
use super::event::Running;
use super::group::take::Gate;
use super::group::{Context, Group};
use super::heartbeat::{GroupReport, Role, WhyNot};
use super::link::{LinkState, LinkStats};
use super::node::{GroupId, LinkId, NodeId, Session};
use super::peer::{Peer, PeerState};

/// The core at one moment. Ages are counted from that moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// This node.
    pub me: NodeId,
    /// This process.
    pub session: Session,
    /// How long it runs.
    pub up: Duration,
    /// How often it did not run for an interval or more.
    pub stalls: u64,
    /// The other nodes.
    pub peers: Vec<PeerView>,
    /// The groups.
    pub groups: Vec<GroupView>,
}

/// One peer.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// Which.
    pub node: NodeId,
    /// Its state.
    pub state: PeerState,
    /// How long ago it was last heard.
    pub heard: Option<Duration>,
    /// How long it is silent, as the decision counts it: from receipt, our start or the end of our last stall.
    pub silence: Duration,
    /// What EC2 last said of its instance, and how long ago it was asked.
    pub running: Option<(Running, Duration)>,
    /// What it last said of each group.
    pub reports: Vec<GroupReport>,
    /// It announced a restart: for how long that still holds.
    pub back_in: Option<Duration>,
    /// Whether it hears us; `None`: it is not heard.
    pub hears_us: Option<bool>,
    /// Whether its effective configuration is ours; `None`: it was not heard.
    pub same_config: Option<bool>,
    /// What is done about its silence; `None`: nothing.
    pub recovery: Option<RecoveryView>,
    /// Its EC2 instance, as it said.
    pub instance: Option<String>,
    /// Its links.
    pub links: Vec<LinkView>,
}

/// What is done about a peer's silence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecoveryView {
    /// How far it is.
    pub state: RecoveryState,
    /// Attempts that were made.
    pub attempts: u32,
    /// When the next one is due, if one is left.
    pub next_in: Option<Duration>,
}

/// How far the recovery of a lost peer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecoveryState {
    /// It may be booting by itself.
    Waiting,
    /// EC2 is asked, and has not answered.
    Asked,
    /// It is being stopped, and will be started.
    Stopping,
    /// It was rebooted or started, and has time to boot.
    Booting,
    /// It is heard again, not yet for as long as it takes to boot.
    Heard,
    /// Nothing is tried any more.
    GaveUp,
}

/// One link.
#[derive(Clone, Debug)]
pub struct LinkView {
    /// Which.
    pub link: LinkId,
    /// Its state.
    pub state: LinkState,
    /// Since when.
    pub since: Duration,
    /// How long ago something was heard on it.
    pub heard: Option<Duration>,
    /// What was counted.
    pub stats: LinkStats,
    /// The dead-after that the gaps advise.
    pub advised_dead_after: Option<Duration>,
}

/// One group.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Which.
    pub group: GroupId,
    /// Whether this node is one of its nodes.
    pub member: bool,
    /// This node's part in it.
    pub role: Role,
    /// Since when.
    pub since: Duration,
    /// The row that made it so, and why.
    pub reason: (Row, String),
    /// The row in force.
    pub row: Row,
    /// Since when.
    pub row_since: Duration,
    /// This node's term.
    pub term: u64,
    /// Whether what EC2 says is settled against the last change.
    pub settled: bool,
    /// Who holds the anchor, as the decision sees it; `None`: unknown.
    pub anchor: Option<Owner>,
    /// The last good read, and how long ago its request was sent.
    pub last_read: Option<(Owner, Option<Counter>, Duration)>,
    /// How many reads in a row failed.
    pub failed_reads: u32,
    /// The node whose silence would count.
    pub armed: Option<NodeId>,
    /// Why this node could not take the group now; `None`: it could.
    pub ineligible: Option<String>,
    /// What holds back a take that is wanted.
    pub gate: Option<String>,
    /// How long it still does, if that is known.
    pub gate_for: Option<Duration>,
    /// The holder's counter stands still, and EC2 takes our own writes (row 17).
    pub at_rest: bool,
    /// The nodes that could take the group now, other than this one, as they say.
    pub takers: Vec<NodeId>,
    /// The others that are heard, and why they could not, as far as they say.
    pub not_takers: Vec<(NodeId, Option<WhyNot>)>,
    /// Peers that say they are active.
    pub active_peers: Vec<NodeId>,
    /// What this node's world should be, and whether it is.
    pub desired: Option<(Desired, bool)>,
    /// Maintenance.
    pub maintenance: bool,
    /// The operator wants this node not to be active.
    pub standby: bool,
    /// The service is fit here.
    pub fit: bool,
    /// How often it has failed here, until cleanup or failure-timeout.
    pub fail_count: u32,
    /// It has failed so often that it is barred from this node.
    pub barred: bool,
    /// The lease that owns the group; `None`: the anchor does.
    pub lease: Option<LeaseView>,
    /// Whose instance is being stopped, and how far that is.
    pub fence: Option<(NodeId, Fencing)>,
}

/// A group's lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeaseView {
    /// Whose name stands in the table, as far as it was read; `None`: nobody's, or nothing was read yet.
    pub owner: Option<NodeId>,
    /// It is ours: for how long this node may still serve if it is not renewed.
    pub valid_for: Option<Duration>,
    /// It is another's: when this node may take it if it is not renewed; zero: it has run out.
    pub expires_in: Option<Duration>,
    /// How long ago the request of the last good read was sent, or our own last write was answered.
    pub age: Option<Duration>,
    /// How many answers in a row were none.
    pub failures: u32,
}

/// How far fencing is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fencing {
    /// EC2 is asked, and has not answered.
    Asked,
    /// EC2 has accepted the call; the instance has not stopped yet.
    Accepted,
    /// It has failed; a minute later it is tried again.
    Failed,
}

pub(super) fn of(cluster: &Cluster, now: super::Time) -> Snapshot {
    let cx = cluster.context(now);
    Snapshot {
        me: cluster.settings.me,
        session: cluster.session,
        up: now.since(cluster.started),
        stalls: cluster.stalls,
        peers: cluster
            .peers
            .iter()
            .map(|peer| peer_view(peer, cluster.is_ours_to_recover(peer, now), &cx))
            .collect(),
        groups: cluster.groups.iter().map(|group| group_view(group, &cx)).collect(),
    }
}

fn peer_view(peer: &Peer, recovers: bool, cx: &Context<'_>) -> PeerView {
    let heard = peer.heard(cx.now, cx.settings);
    let recovery = peer.recovery.state(peer, cx).filter(|_| recovers || peer.recovery.attempts > 0);
    let attempts = peer.recovery.attempts;
    PeerView {
        node: peer.id,
        state: peer.state(cx.now, cx.settings),
        heard: peer.heard_at.map(|at| cx.now.since(at)),
        silence: peer.silence(cx.now),
        running: peer.running.map(|(sent, running)| (running, cx.now.since(sent))),
        reports: peer.reports.clone(),
        back_in: peer.back_until.filter(|_| peer.back_soon(cx.now)).map(|until| until.since(cx.now)),
        hears_us: heard.then(|| peer.hears.contains(cx.settings.me)),
        same_config: peer.config_hash.map(|hash| hash == cx.settings.config_hash),
        recovery: recovery.map(|(state, next_in)| RecoveryView { state, attempts, next_in }),
        instance: peer.instance.clone(),
        links: peer
            .links
            .iter()
            .zip(0..)
            .map(|(link, id)| LinkView {
                link: LinkId(id),
                state: link.state,
                since: cx.now.since(link.since),
                heard: link.heard_at.map(|at| cx.now.since(at)),
                advised_dead_after: link.stats.gaps.advised_dead_after(cx.settings.interval),
                stats: link.stats.clone(),
            })
            .collect(),
    }
}

fn group_view(group: &Group, cx: &Context<'_>) -> GroupView {
    let (settled, anchor) = group.knowledge.anchor(cx.now);
    let members = || group.members(cx).filter(|peer| peer.heard(cx.now, cx.settings));
    GroupView {
        group: group.id,
        member: group.settings(cx).nodes.contains(&cx.settings.me),
        role: group.role,
        since: cx.now.since(group.role_since),
        reason: group.role_reason.clone(),
        row: group.row,
        row_since: cx.now.since(group.row_since),
        term: group.term,
        settled,
        anchor,
        last_read: group.knowledge.last.map(|last| (last.owner, last.counter, cx.now.since(last.sent))),
        failed_reads: group.knowledge.failures,
        armed: group.armed,
        ineligible: group.ineligible(cx),
        gate: group.gate.as_ref().map(ToString::to_string),
        gate_for: group.gate.as_ref().and_then(Gate::until).map(|until| until.since(cx.now)),
        at_rest: group.at_rest(cx),
        takers: members()
            .filter(|peer| peer.report(group.id).is_some_and(|report| report.eligible))
            .map(|peer| peer.id)
            .collect(),
        not_takers: members()
            .filter_map(|peer| Some((peer.id, peer.report(group.id).filter(|it| !it.eligible)?.why_not)))
            .collect(),
        active_peers: members().filter(|peer| peer.says_active(group.id)).map(|peer| peer.id).collect(),
        desired: group.desired.map(|desired| (desired, group.converged)),
        maintenance: group.memory.maintenance.on,
        standby: group.memory.standby,
        fit: group.fit,
        fail_count: group.memory.fail_count,
        barred: group.barred(cx),
        lease: group.lease_view(cx.now),
        fence: group.fencing(),
    }
}
