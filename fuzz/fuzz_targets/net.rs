//! See `ampoule_fuzz_bodies::net`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::net::check(data));
