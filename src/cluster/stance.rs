//! What this node has decided about a group, in a form that is cheap to compare after each input.

use serde::{Deserialize, Serialize};

use super::Cluster;
use super::decision::Row;
use super::heartbeat::Role;
use super::node::GroupId;

/// The decision in force.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Stance {
    /// This node's part in the group.
    pub role: Role,
    /// The row that made it so.
    pub by: Row,
    /// The row in force now.
    pub row: Row,
    /// The highest term that this node knows; its own if it is active.
    pub term: u64,
}

impl Cluster {
    /// What is decided about each group now.
    pub fn stances(&self) -> impl Iterator<Item = (GroupId, Stance)> {
        self.groups.iter().map(|it| {
            let stance = Stance { role: it.role, by: it.role_reason.0, row: it.row, term: it.term };
            (it.id, stance)
        })
    }
}
