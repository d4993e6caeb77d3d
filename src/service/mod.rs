//! What runs on a node for a group: its service, the operator's hooks; and how a service is asked whether it is there.

pub mod ami;
pub mod cgroup;
pub mod check;
mod command;
pub mod hooks;
mod ocf;
mod poll;
pub mod probe;
pub mod program;
mod sip;
pub mod state;
pub mod supervised;
pub mod systemd;
