//! What the core is told once, when it is made.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::Maintenance;
use super::node::NodeId;
use super::time::Time;

/// How long after a change a read of EC2 may still show the state before it.
pub const SETTLE: Duration = Duration::from_secs(5);
/// How old the knowledge of the holder may be when a take is decided; older is "unknown".
pub const FRESH: Duration = Duration::from_secs(30);
/// How long a call without an answer may still land.
pub const OPEN_CALL: Duration = Duration::from_secs(120);
/// How long an announced restart may take.
pub const BACK_IN: Duration = Duration::from_secs(10);
/// How often a late peer is asked.
pub const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long an offer holds.
pub const OFFER_TTL: Duration = Duration::from_secs(10);

/// The core's settings: a part of the configuration, and what the shell remembers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// This node.
    pub me: NodeId,
    /// How many nodes the cluster has.
    pub nodes: u8,
    /// How many links each pair of nodes has.
    pub links: u8,
    /// Between two heartbeats.
    pub interval: Duration,
    /// Silence after which a peer is late.
    pub warn_after: Duration,
    /// Silence after which a peer is lost.
    pub dead_after: Duration,
    /// The first dead-after, from our own start.
    pub first_dead_after: Duration,
    /// The bound that the shell sets on each call to EC2.
    pub call_timeout: Duration,
    /// Hash of the effective configuration.
    pub config_hash: u64,
    /// Session, nonces and jitter come from this: random in an agent, a number in the simulator.
    pub seed: u64,
    /// What is done about a lost peer's instance; `None`: nothing.
    pub recovery: Option<RecoverySettings>,
    /// The groups.
    pub groups: Vec<GroupSettings>,
}

/// What an older recording does not have.
impl Default for Settings {
    fn default() -> Self {
        Self {
            me: NodeId(0),
            nodes: 0,
            links: 0,
            interval: Duration::ZERO,
            warn_after: Duration::ZERO,
            dead_after: Duration::ZERO,
            first_dead_after: Duration::ZERO,
            call_timeout: Duration::ZERO,
            config_hash: 0,
            seed: 0,
            recovery: None,
            groups: Vec::new(),
        }
    }
}

impl Settings {
    /// How long a holder may be idle (rows 10 and 13): first-dead-after, but long enough for one that has
    /// just started to settle and to find that the anchor is its own (row 9).
    pub(super) fn patience(&self) -> Duration {
        self.first_dead_after.max(SETTLE * 2)
    }
}

/// One group's settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct GroupSettings {
    /// Its nodes, in order of preference. A node that is not in it only hears and tells.
    pub nodes: Vec<NodeId>,
    /// What silence does (row 16).
    pub when_silent: WhenSilent,
    /// Whether an isolated active node stops serving (row 8).
    pub release_when_isolated: bool,
    /// Whether the old active has to be stopped by EC2.
    pub fencing: Fencing,
    /// Whether the group is taken when fencing has failed for good.
    pub take_when_fencing_fails: bool,
    /// The lease that owns the group; `None`: the anchor does.
    pub lease: Option<LeaseSettings>,
    /// The group goes back to a preferred node that was fit for so long; `None`: never.
    pub failback: Option<Duration>,
    /// So many failures bar the service on this node; zero: none does.
    pub migration_threshold: u32,
    /// Failures are forgotten so long after the last one; `None`: only by cleanup.
    pub failure_timeout: Option<Duration>,
    /// The service runs on the active node only: it has to stop there before it starts elsewhere.
    pub cold: bool,
    /// What was remembered when the agent last ran.
    pub memory: Memory,
}

/// What an older recording does not have.
impl Default for GroupSettings {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl GroupSettings {
    /// A group of these nodes, everything else as it is by default.
    pub fn of(nodes: Vec<NodeId>) -> Self {
        Self {
            nodes,
            when_silent: WhenSilent::Take,
            release_when_isolated: false,
            fencing: Fencing::None,
            take_when_fencing_fails: false,
            lease: None,
            failback: None,
            migration_threshold: 3,
            failure_timeout: None,
            cold: false,
            memory: Memory::default(),
        }
    }
}

/// What a standby does when an armed holder is silent and nothing else is known.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum WhenSilent {
    /// Take over.
    #[default]
    Take,
    /// Ask the service at the address that moves, as a caller would: an answer holds.
    Probe,
    /// Wait for proof or the operator.
    Hold,
}

/// Whether EC2 has to stop the old active before, or while, the group is taken from it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Fencing {
    /// It is not stopped: its process may outlive the move of the address.
    #[default]
    None,
    /// It is stopped, confirmed, and then the anchor is taken.
    Before,
    /// It is told to stop while the anchor is taken.
    Alongside,
}

/// What is done about a lost peer's instance.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RecoverySettings {
    /// How.
    pub when_lost: WhenLost,
    /// Not before a peer had so long to boot: from its loss, and from each attempt.
    pub boot_time: Duration,
    /// So many times at most, until it was heard for `boot_time` or an operator cleaned up.
    pub attempts: u32,
}

/// How a lost peer's instance is brought back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum WhenLost {
    /// It is rebooted: the same host.
    Reboot,
    /// It is stopped, and started on another host.
    Restart,
}

/// The lease: a time-bound right to be active.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct LeaseSettings {
    /// How long it lasts from the start of the first attempt of a renewal.
    pub length: Duration,
    /// How long the service may take to stop.
    pub stop_bound: Duration,
    /// How long a lapsed lease may be outlived while DynamoDB does not answer and every other node of the group
    /// is heard as standby; zero: not at all.
    pub grace: Duration,
}

/// What survives a restart of the agent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Memory {
    /// The highest term that this node was active in or heard.
    pub term: u64,
    /// Maintenance.
    pub maintenance: Maintenance,
    /// The operator wants this node not to be active.
    pub standby: bool,
    /// Takeovers by silence in the last hour (row 16), for damping.
    pub silent_takeovers: Vec<Time>,
    /// How often the service has failed here, until cleanup or failure-timeout.
    pub fail_count: u32,
    /// When it last failed.
    pub failed_at: Option<Time>,
    /// Nodes whose instance this one has had stopped, to start it again.
    pub restarting: Vec<NodeId>,
}
