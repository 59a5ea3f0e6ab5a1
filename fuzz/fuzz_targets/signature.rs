//! See `ampoule_fuzz_bodies::signature`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::signature::check(data));
