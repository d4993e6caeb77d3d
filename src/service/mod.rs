//! What runs on a node for a group: the hooks; and how a service is asked whether it is there.

pub mod hooks;
pub mod probe;
mod sip;
