//! The names behind the core's numbers.

use std::fmt::Write as _;

use crate::cluster::{GroupId, NodeId};
use crate::config::Config;
use crate::wire;

/// The names of the configuration, by their places in it.
#[derive(Clone, Debug)]
pub struct Names {
    /// The cluster's name.
    pub cluster: String,
    /// The nodes'.
    pub nodes: Vec<String>,
    /// The groups'.
    pub groups: Vec<String>,
}

impl Names {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            cluster: config.cluster.clone(),
            nodes: config.nodes.iter().map(|node| node.name.clone()).collect(),
            groups: config.groups.iter().map(|group| group.name.clone()).collect(),
        }
    }

    /// As the codec wants them.
    pub(super) fn roster(&self) -> wire::Roster<'_> {
        wire::Roster { cluster: &self.cluster, nodes: &self.nodes, groups: &self.groups }
    }

    /// A node's name; "?" if there is none.
    pub fn node(&self, node: NodeId) -> &str {
        self.nodes.get(usize::from(node.0)).map_or("?", String::as_str)
    }

    /// A group's name; "?" if there is none.
    pub fn group(&self, group: GroupId) -> &str {
        self.groups.get(usize::from(group.0)).map_or("?", String::as_str)
    }

    /// The node of this name.
    pub fn node_id(&self, name: &str) -> Option<NodeId> {
        let place = self.nodes.iter().position(|node| node == name)?;
        u8::try_from(place).ok().map(NodeId)
    }

    /// The group of this name.
    pub fn group_id(&self, name: &str) -> Option<GroupId> {
        let place = self.groups.iter().position(|group| group == name)?;
        u8::try_from(place).ok().map(GroupId)
    }

    /// The core's sentence with `{node N}` replaced by the node's name.
    pub fn text(&self, sentence: &str) -> String {
        let mut text = String::with_capacity(sentence.len());
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once("{node ") {
            text.push_str(before);
            match after.split_once('}').and_then(|(n, rest)| Some((n.parse().ok()?, rest))) {
                Some((n, after)) => {
                    text.push_str(self.node(NodeId(n)));
                    rest = after;
                }
                None => {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{{node ");
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_name_nodes() {
        let names =
            Names { cluster: "c".into(), nodes: vec!["ivr-a".into(), "ivr-b".into()], groups: vec![] };
        assert_eq!(names.text("{node 1} after {node 0}, {node 7}"), "ivr-b after ivr-a, ?");
        assert_eq!(names.text("no {node x} {node "), "no {node x} {node ");
    }
}
