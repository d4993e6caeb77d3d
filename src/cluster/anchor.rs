//! What one read of the anchor can say.

use serde::{Deserialize, Serialize};

use super::node::{NodeId, Session};

/// Who holds the anchor, according to EC2. "Unknown" is not here: it is the absence of a good read.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Owner {
    /// This node's interface.
    Mine,
    /// Another node's interface.
    Theirs(NodeId),
    /// Held by nothing.
    Nobody,
    /// An unattached interface, a node's former one, or a blackhole route.
    Orphaned,
    /// Attached, but to no node of this cluster.
    Stranger,
}

/// The counter that an active node writes into a tag of the anchor, while not all nodes hear all.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Counter {
    /// Who wrote it.
    pub node: NodeId,
    /// In which session.
    pub session: Session,
    /// It grows by one with each write.
    pub n: u64,
}

/// One good read of the anchor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct AnchorRead {
    /// Who holds it.
    pub owner: Owner,
    /// The counter in its tag, if there is one that can be read.
    pub counter: Option<Counter>,
}
