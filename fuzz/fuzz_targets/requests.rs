//! See `ampoule_fuzz_bodies::requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::requests::check(data));
