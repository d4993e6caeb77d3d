//! Any bytes from the agent at the operator's socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| standin_fuzz::control::from_an_agent(bytes));
