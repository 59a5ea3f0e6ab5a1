//! See `ampoule_fuzz_bodies::console`. Run it with `-close_fd_mask=3`: it writes to descriptors 1 and 2.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ampoule_fuzz_bodies::console::check(data));
