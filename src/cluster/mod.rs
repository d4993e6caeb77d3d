//! The core: who is active, and why. Pure: no tokio, no sockets, no clock, no AWS.

pub mod anchor;
pub mod heartbeat;
pub mod node;
pub mod time;

pub use anchor::{AnchorRead, Counter, Owner};
pub use heartbeat::{GroupReport, Heartbeat, Offer, Role};
pub use node::{GroupId, LinkId, NodeId, NodeSet, Session};
pub use time::Time;
