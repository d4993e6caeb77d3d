//! How the core names nodes, groups, links and sessions: small numbers. The names that people gave
//! them are the shell's business (`config`), and travel in datagrams (`wire`).

use serde::{Deserialize, Serialize};

/// A node: its place in the configuration file, from 0.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct NodeId(pub u8);

/// A group: its place in the configuration file, from 0.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct GroupId(pub u8);

/// A link: its place in each node's `links`, from 0.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct LinkId(pub u8);

/// One life of an agent's process: a random number, never stored.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Session(pub u64);

/// A set of nodes (at most 32).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct NodeSet(pub u32);

impl NodeSet {
    /// Adds a node.
    pub fn insert(&mut self, node: NodeId) {
        self.0 |= 1 << (node.0 & 31);
    }

    /// Whether the node is in the set.
    pub fn contains(self, node: NodeId) -> bool {
        self.0 & (1 << (node.0 & 31)) != 0
    }

    /// How many nodes are in the set.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether no node is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The nodes, lowest first.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..32u8).map(NodeId).filter(move |node| self.contains(*node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_nodes_knows_its_own() {
        let mut set = NodeSet::default();
        assert_eq!((set.len(), set.is_empty(), set.iter().next()), (0, true, None));
        for node in [31, 0, 5, 5] {
            set.insert(NodeId(node));
        }
        assert_eq!((set.len(), set.is_empty(), set.0), (3, false, 1 << 31 | 1 << 5 | 1));
        assert_eq!(set.iter().collect::<Vec<_>>(), [NodeId(0), NodeId(5), NodeId(31)]);
        assert!(set.contains(NodeId(31)) && !set.contains(NodeId(30)));
    }
}
