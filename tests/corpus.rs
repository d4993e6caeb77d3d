//! Every kept input of the fuzz targets, through what the targets do with it: what was once found stays mended,
//! and that needs neither cargo-fuzz nor a nightly compiler.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that panics has failed, and says at what"
)]

#[allow(unreachable_pub, reason = "in the fuzz targets' crate it is reachable")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;

/// Runs each input of `fuzz/corpus/NAME`; answers how many there are.
fn each(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} has no input", folder.display());
    for input in inputs {
        // Said before, so that a panic is known by its input.
        println!("{}", input.display());
        target(&fs::read(&input).unwrap());
    }
}

#[test]
fn heartbeats_from_anyone() {
    each("decode", targets::heartbeat::from_anyone);
}

#[test]
fn heartbeats_from_a_holder_of_the_key() {
    each("decode_authenticated", targets::heartbeat::from_a_holder_of_the_key);
}

#[test]
fn facts_for_the_core() {
    each("cluster", targets::cluster::any);
}

#[test]
fn configuration_files() {
    each("config", targets::config::any);
}

#[test]
fn requests_from_a_client() {
    each("control_request", targets::control::from_a_client);
}

#[test]
fn responses_from_an_agent() {
    each("control_response", targets::control::from_an_agent);
}

#[test]
fn calls_of_the_sandbox() {
    each("sandbox", targets::sandbox::any);
}
