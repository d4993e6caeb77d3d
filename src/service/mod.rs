//! What runs on a node for a group: its unit, the operator's hooks; and how a service is asked whether it is there.

pub mod ami;
pub mod cgroup;
pub mod check;
pub mod hooks;
pub mod probe;
mod sip;
pub mod state;
pub mod supervised;
pub mod systemd;
