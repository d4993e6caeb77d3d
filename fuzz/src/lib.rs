//! What each fuzz target does with its bytes. It is here, and not in the targets, so that the ordinary tests
//! can run every kept input through it (`tests/corpus.rs`): with a stable compiler, and always.

pub mod cluster;
pub mod config;
pub mod control;
pub mod heartbeat;
pub mod sandbox;
