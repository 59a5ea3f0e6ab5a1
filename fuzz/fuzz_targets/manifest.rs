//! See `ampoule_fuzz_bodies::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::manifest::check(data));
