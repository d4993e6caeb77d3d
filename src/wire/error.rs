//! Why a heartbeat could not be written, or a datagram not be read.

use std::fmt;

use crate::cluster::{GroupId, NodeId};

use super::{MAX_DATAGRAM, VERSION, Version};

/// Why a heartbeat was not encoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EncodeError {
    /// The roster has no such node.
    NoSuchNode(NodeId),
    /// The roster has no such group.
    NoSuchGroup(GroupId),
    /// Longer than [`MAX_DATAGRAM`].
    TooLong {
        /// How long it would be, in bytes.
        length: usize,
    },
}

/// Why a datagram was refused. The variants are in the order of the checks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DecodeError {
    /// Too short, or it does not begin as a heartbeat does.
    NotOurs,
    /// Another major version.
    Version(Version),
    /// Signed with a key that this node does not have.
    UnknownKey(u8),
    /// The tag is wrong: another key under the same id, or bytes that changed on the way.
    BadTag,
    /// From a cluster of this name, which has the same key.
    Cluster(String),
    /// From a node of this name, which this node's configuration lacks.
    UnknownSender(String),
    /// To a node of this name, which this node's configuration lacks.
    UnknownReceiver(String),
    /// Nothing of the above, and it cannot be read: a bug here or at the sender.
    Malformed(String),
}

impl DecodeError {
    /// Whether a holder of a key wrote the datagram. If not, nothing that it says is known to be true, its
    /// version included.
    pub fn is_authenticated(&self) -> bool {
        match self {
            Self::NotOurs | Self::Version(_) | Self::UnknownKey(_) | Self::BadTag => false,
            Self::Malformed(_) | Self::Cluster(_) | Self::UnknownSender(_) | Self::UnknownReceiver(_) => true,
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNode(node) => write!(f, "node {} is not in the configuration", node.0),
            Self::NoSuchGroup(group) => write!(f, "group {} is not in the configuration", group.0),
            Self::TooLong { length } => write!(
                f,
                "the heartbeat would have {length} bytes, at most {MAX_DATAGRAM} are sent: \
                 shorten the names of nodes and groups, or divide the groups over two clusters"
            ),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => write!(f, "not a heartbeat of standin"),
            Self::Version(Version { major, minor }) => write!(
                f,
                "heartbeat protocol {major}.{minor}, this node speaks {}.{}: upgrade the older one",
                VERSION.major, VERSION.minor
            ),
            Self::UnknownKey(id) => {
                write!(f, "signed with key {id}, which this node does not have: compare the key files")
            }
            Self::BadTag => write!(f, "the signature is wrong: compare the key files"),
            Self::Malformed(why) => write!(f, "signed with our key, and not readable: {why}"),
            Self::Cluster(name) => write!(
                f,
                "from the cluster {name:?}, which has the same key: correct its name, \
                 or give it a key and a port of its own"
            ),
            Self::UnknownSender(name) => {
                write!(f, "from the node {name:?}, which this node's configuration lacks: compare the files")
            }
            Self::UnknownReceiver(name) => {
                write!(f, "to the node {name:?}, which this node's configuration lacks: compare the files")
            }
        }
    }
}

impl std::error::Error for EncodeError {}
impl std::error::Error for DecodeError {}
