//! (to be written)

pub mod clock;
pub mod links;
pub mod poller;
pub mod sources;
pub mod store;
pub mod systemd;
