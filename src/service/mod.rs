//! What runs on a node for a group: its unit, and the operator's hooks.

pub mod cgroup;
pub mod hooks;
pub mod unit;
