//! The nodes of the cluster, and the links to them.

use serde::{Deserialize, Serialize};

use super::Recovery;

/// One node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// "this node", "online", "late", "lost", "left", "never seen", "key mismatch", "restarting".
    pub state: String,
    /// How long ago it was last heard.
    pub heard_ms: Option<u64>,
    /// Whether it hears this node; `None`: it is not heard.
    pub hears_us: Option<bool>,
    /// Whether its effective configuration is the same as ours; `None`: it was not heard.
    pub same_config: Option<bool>,
    /// What is done about its silence; `None`: nothing.
    #[serde(default)]
    pub recovery: Option<Recovery>,
    /// Its EC2 instance.
    pub instance: Option<String>,
    /// Its network interfaces.
    pub interfaces: Vec<String>,
    /// The links to it.
    pub links: Vec<Link>,
}

/// One link between this node and another.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Link {
    /// Its place in the nodes' `links`, from 0.
    pub link: u8,
    /// Our address.
    pub ours: String,
    /// The other node's address.
    pub theirs: String,
    /// "up", "late", "lost", "never seen".
    pub state: String,
    /// For how long.
    pub since_ms: u64,
    /// How long ago something was heard on it.
    pub heard_ms: Option<u64>,
    /// Smoothed round-trip time.
    pub rtt_us: Option<u64>,
    /// Heartbeats that arrived.
    pub received: u64,
    /// Heartbeats that never arrived.
    pub missed: u64,
    /// Of a hundred heartbeats so many never arrived.
    pub loss_percent: f64,
    /// Datagrams that came twice or out of order.
    pub replayed: u64,
    /// Datagrams from its address that were refused, most often because they did not authenticate.
    pub refused: u64,
    /// Why the last of those was refused.
    pub refused_because: Option<String>,
    /// How often it was late.
    pub late: u64,
    /// How often it was lost.
    pub lost: u64,
    /// 99 of 100 gaps between heartbeats are not longer.
    pub gap_p99_us: Option<u64>,
    /// The longest gap.
    pub gap_longest_us: Option<u64>,
    /// The dead-after that these gaps advise; `None`: fewer than 1000 were seen.
    pub advised_dead_after_ms: Option<u64>,
}
