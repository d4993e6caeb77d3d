//! A node is its links: which of the configured nodes this machine is.

use std::fmt;
use std::net::IpAddr;

use super::Config;
use crate::cluster::NodeId;

/// Why a machine is none of the nodes, or cannot tell which.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OwnNodeError {
    /// `--node` names no node.
    NoSuchName {
        /// The name given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// None of the configured addresses is on this machine.
    NoAddress {
        /// Each node and its link addresses.
        looked_for: Vec<(String, Vec<IpAddr>)>,
        /// The addresses of this machine.
        seen: Vec<IpAddr>,
    },
    /// The addresses of several nodes are on this machine.
    Several {
        /// These nodes.
        nodes: Vec<String>,
    },
}

impl Config {
    /// Which node this machine is: the one that is named (`--node`), else the one whose link address is
    /// among the machine's own `addresses`.
    ///
    /// # Errors
    /// There is no such node, or more than one; the message says what was looked for and what was seen.
    pub fn own_node(&self, name: Option<&str>, addresses: &[IpAddr]) -> Result<NodeId, OwnNodeError> {
        let here = |links: &[IpAddr]| links.iter().any(|link| addresses.contains(link));
        let mut own = self.nodes.iter().zip(0u8..).filter(|(node, _)| match name {
            Some(name) => node.name == name,
            None => here(&node.links),
        });
        match (own.next(), own.next(), name) {
            (Some((_, place)), None, _) => Ok(NodeId(place)),
            (Some(_), Some(_), _) => {
                let nodes = self.nodes.iter().filter(|node| here(&node.links));
                Err(OwnNodeError::Several { nodes: nodes.map(|node| node.name.clone()).collect() })
            }
            (None, _, Some(name)) => Err(OwnNodeError::NoSuchName {
                name: name.to_owned(),
                known: self.nodes.iter().map(|node| node.name.clone()).collect(),
            }),
            (None, _, None) => Err(OwnNodeError::NoAddress {
                looked_for: self.nodes.iter().map(|it| (it.name.clone(), it.links.clone())).collect(),
                seen: addresses.to_vec(),
            }),
        }
    }
}

impl fmt::Display for OwnNodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName { name, known } => {
                write!(f, "--node {name}: there is no such node\n  help: write one of {}", known.join(", "))
            }
            Self::NoAddress { looked_for, seen } => {
                f.write_str(
                    "this machine is none of the nodes: none of their link addresses is on its interfaces",
                )?;
                for (name, links) in looked_for {
                    write!(f, "\n  looked for {name}: {}", join(links))?;
                }
                let seen = if seen.is_empty() { "none".to_owned() } else { join(seen) };
                write!(f, "\n  seen here: {seen}")?;
                f.write_str("\n  help: add this machine as a [[node]], mend its links, or say --node NAME")
            }
            Self::Several { nodes } => write!(
                f,
                "this machine has link addresses of several nodes: {}\n  help: say which one it is: --node NAME",
                nodes.join(", ")
            ),
        }
    }
}

impl std::error::Error for OwnNodeError {}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}
