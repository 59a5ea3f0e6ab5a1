//! The one line: `use ampoule as _;` in a program links the library OS into it as ordinary Rust crates, so that link-time
//! optimisation crosses program, std and OS.
//!
//! Without the line the same OS comes as a `libc.a` (`os/archive`), and the program's source names nothing of ours. Built
//! for Linux with plain cargo this crate is empty.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(ampoule_image)]
extern crate libc_door as _;
#[cfg(all(ampoule_image, ampoule_trace))]
extern crate trace as _;
