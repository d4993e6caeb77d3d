//! The operator's socket: a Unix stream socket on which agent and tools exchange one JSON object per line.

pub mod client;
pub mod protocol;
pub mod server;
