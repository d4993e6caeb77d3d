//! The lease: what stands in DynamoDB for a group, and what this node may conclude from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::node::NodeId;

/// One group's item.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Lease {
    /// Who holds it; `None`: it was given back.
    pub owner: Option<NodeId>,
    /// A random number, new with each write that is not the repetition of one: who reads its own knows that its
    /// write has landed.
    pub nonce: u64,
    /// The owner's term.
    pub term: u64,
    /// How long it lasts: a contender waits so long from the receipt of the first answer that showed this nonce.
    pub length: Duration,
}
