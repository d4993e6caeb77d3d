//! An EC2 that you can break: the embedded default behind the demo, the tests and the simulator.
//!
//! [`model`] keeps EC2's rules, pure and deterministic; [`server`] speaks EC2's Query protocol and IMDSv2
//! over it, so that unmodified clients (the SDK, boto3, the AWS CLI, the agent) run against it; faults come
//! by [`server::admin`]. What AWS does not document is chosen by [`model::Quirks`]; the README beside this
//! file lists it.

pub mod model;
pub mod server;

pub use model::Spec;
pub use server::{Clock, Options, Running, serve};
