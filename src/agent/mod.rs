//! The tokio shell that drives the core, in two worlds that only exchange messages:
//!
//! - the **heart** ([`heart`]), one thread without tokio: sockets, clock, [`Cluster`](crate::cluster::Cluster).
//!   It waits for nothing but datagrams, messages and its next deadline;
//! - the **effects** ([`effects`]), a tokio runtime with two workers: EC2, netlink, hooks, disk, log, the
//!   operator's socket. They may be as slow as they like.

mod answers;
mod asterisk;
mod aws;
mod checks;
pub mod clock;
mod effects;
mod errors;
pub mod guard;
mod heart;
pub mod links;
pub mod log;
mod memory;
pub mod names;
mod notices;
mod own_addresses;
pub mod poller;
mod recorder;
mod settings;
mod shell;
mod shutdown;
pub mod sources;
mod start;
mod status;
pub mod store;
pub mod systemd;
mod timeline;
mod trouble;

pub use self::aws::aws;
pub use self::effects::WhoAmI;
pub use self::own_addresses::own_addresses;
pub use self::start::{Agent, Ended, Parts, Reach, StartError, check_heartbeat};
