//! Any bytes at the port, from a holder of the key.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| standin_fuzz::heartbeat::from_a_holder_of_the_key(bytes));
