//! See `ampoule_fuzz_bodies::ring`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::ring::check(data));
