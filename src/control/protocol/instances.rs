//! What EC2 is asked to do with the instances of other nodes.

use serde::{Deserialize, Serialize};

/// The fencing of one node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Fence {
    /// Whose instance is being stopped.
    pub node: String,
    /// "asked": EC2 has not answered; "accepted": the instance has not stopped yet; "failed".
    pub state: String,
}

/// What is done about a lost node's instance (`[recovery]`).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recovery {
    /// "waiting", "asked", "stopping", "booting", "heard", "gave up".
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, if it is.
    pub next_in_ms: Option<u64>,
}
