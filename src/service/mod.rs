//! What runs on a node for a group. For now: the hooks.

pub mod hooks;
