//! What `status` says of a group's Asterisk.

use serde::{Deserialize, Serialize};

/// One outbound registration.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Registration {
    /// Its section in pjsip.conf.
    pub name: String,
    /// As Asterisk calls it: "Registered", "Unregistered", "Rejected".
    pub state: String,
    /// For how long.
    pub since_ms: u64,
    /// How long it took since this node had asked for it.
    pub took_ms: Option<u64>,
}

/// A drain that is under way.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Draining {
    /// Channels that are still up.
    pub calls: u32,
    /// Then the group is handed over anyway.
    pub left_ms: u64,
    /// To which node; `None`: the best one.
    pub to: Option<String>,
}
