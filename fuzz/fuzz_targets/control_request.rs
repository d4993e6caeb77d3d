//! Any bytes from a client of the operator's socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| standin_fuzz::control::from_a_client(bytes));
