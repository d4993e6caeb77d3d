//! Any facts, in any order and at any time, told to the core.
#![no_main]

libfuzzer_sys::fuzz_target!(|tape: &[u8]| standin_fuzz::cluster::any(tape));
