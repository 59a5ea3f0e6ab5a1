//! See `net::testing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::stack(data));
