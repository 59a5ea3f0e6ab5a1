//! The library OS as `libc.a`, for programs whose source names nothing of ours: it shadows the real one on the link path.
//!
//! Built with fat link-time optimisation (profile `image`) it is one object, in which only the C symbols, the drivers' hooks
//! and `_start` are visible. What is Rust in it (its own copy of `core` and `alloc`, allocator, panic handler) is internal, so
//! it cannot meet the program's std; `rust_eh_personality` is left undefined and becomes std's. The linker takes the object
//! and `--gc-sections` drops every function that the program does not reach. No `objcopy` step is needed.
//!
//! ```text
//! RUSTFLAGS='-Ctarget-feature=+crt-static -Crelocation-model=pie -Cforce-frame-pointers=yes --cfg ampoule_image' \
//!     cargo build -p ampoule-archive --profile image --target x86_64-unknown-linux-gnu     # gives libc.a
//! ```
//!
//! A program built with `panic = "unwind"` takes its unwinder from the toolchain's libgcc_eh.a; then the archive is built with
//! `--cfg ampoule_unwind` too, and leaves the `_Unwind_*` symbols out.
#![cfg_attr(ampoule_image, no_std)]

// Everything there is; the linker chooses.
extern crate libc_door as _;
// What tells of its calls, in a traced image.
#[cfg(ampoule_trace)]
extern crate trace as _;

#[cfg(ampoule_image)]
mod runtime;
