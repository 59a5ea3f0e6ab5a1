//! See `ampoule_fuzz_bodies::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::image::check_program(data));
