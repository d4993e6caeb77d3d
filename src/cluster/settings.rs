//! What the core is told once, when it is made.

use std::time::Duration;

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
#[derive(Clone, Debug)]
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
    /// The groups.
    pub groups: Vec<GroupSettings>,
}

impl Settings {
    /// How long a holder may be idle (rows 10 and 13): first-dead-after, but long enough for one that has
    /// just started to settle and to find that the anchor is its own (row 9).
    pub(super) fn patience(&self) -> Duration {
        self.first_dead_after.max(SETTLE * 2)
    }
}

/// One group's settings.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// Its nodes, in order of preference. A node that is not in it only hears and tells.
    pub nodes: Vec<NodeId>,
    /// Whether silence moves the group (row 16), or only proof and the operator do.
    pub take_when_silent: bool,
    /// Whether an isolated active node stops serving (row 8).
    pub release_when_isolated: bool,
    /// What was remembered when the agent last ran.
    pub memory: Memory,
}

/// What survives a restart of the agent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// The highest term that this node was active in or heard.
    pub term: u64,
    /// Maintenance.
    pub maintenance: Maintenance,
    /// The operator wants this node not to be active.
    pub standby: bool,
    /// Takeovers by silence in the last hour (row 16), for damping.
    pub silent_takeovers: Vec<Time>,
}
