//! standin: the instance that steps in.
//!
//! One daemon runs on each of two (or a few) EC2 instances. They exchange unicast heartbeats; when the
//! active one falls silent, a standby takes the group over by cloud actions. Data goes one way:
//!
//! ```text
//! datagram -> wire -> cluster (the decision) -> command -> effect (agent, resource, cloud) -> event
//! ```
//!
//! Who may import whom is kept by `tests/tidy.rs`.

pub mod agent;
pub mod cli;
pub mod cloud;
pub mod cluster;
pub mod config;
pub mod control;
pub mod record;
pub mod resource;
pub mod sandbox;
pub mod service;
pub mod wire;
