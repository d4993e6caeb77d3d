//! The guard: a process of its own that kills a group's service when the agent does not prolong it in time, so
//! that an agent that is dead or frozen does not leave the service running when its lease is over.
//!
//! It is as small as it can be, because everything else may be broken when it is needed: it knows deadlines
//! (CLOCK_BOOTTIME) and cgroups, asks neither EC2 nor systemd nor the disk before it kills, and does what it
//! was last told, whoever told it. Agent and guard exchange datagrams over a Unix socket, so that neither
//! notices the other's end: a new agent just goes on with the guard that it finds.
//!
//! It runs as a transient unit of systemd, not in the agent's: systemd kills what is left of the agent's unit
//! when the agent dies. When nobody has spoken to it for a minute and it guards nothing, it ends.

mod client;
mod process;
mod protocol;

pub use client::{Client, GuardError, start};
pub use process::run;
pub use protocol::{Answer, Ask, Order, Watched, nanos, socket_beside};
