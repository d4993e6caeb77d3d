//! Any requests to the sandbox, and what its model makes of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| standin_fuzz::sandbox::any(bytes));
