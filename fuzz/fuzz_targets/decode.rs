//! Any bytes at the port.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| standin_fuzz::heartbeat::from_anyone(bytes));
