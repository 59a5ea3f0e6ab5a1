//! See `ampoule_fuzz_bodies::hostnet`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // As the runtime of every Rust program has it, the monitor's too; this one has libFuzzer's `main`.
        // SAFETY: nothing else handles signals.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    },
    |data: &[u8]| ampoule_fuzz_bodies::hostnet::check(data)
);
