//! See `ampoule_fuzz_bodies::files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::files::check(data));
