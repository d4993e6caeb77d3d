//! The checks of a group.

use serde::{Deserialize, Serialize};

/// One check, on this node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// "systemd", "tcp", "http", "command", "sip-options", "asterisk-ami", "ping", "disk", "interface".
    pub kind: String,
    /// "ok", "degraded", "failed", "unknown" (the check cannot be made), "not yet", "not now" (it does not run on
    /// this node in its present role).
    pub state: String,
    /// For how long.
    pub since_ms: u64,
    /// What its last run had to say; empty where all was well.
    pub text: String,
    /// How many runs in a row have failed.
    pub fails: u32,
    /// How long ago its last run ended; `None`: it has not run.
    pub age_ms: Option<u64>,
    /// How long that took.
    pub took_us: Option<u64>,
    /// What its failure does: "restart", "move", "report".
    pub on_fail: String,
}
