//! The C door: the symbols that std and ordinary crates import, one file a family.
//!
//! Everything here is thin: it checks pointers, calls `posix`, `thread`, `memory` or `machine`, and turns errors into
//! `errno`. A symbol that nobody imports is not in the image, so offering one costs nothing. Symbols carry their C names
//! only when an image is built (`ampoule_image`): a unit test on the host keeps the host's own libc.
//!
//! Variadic functions whose further arguments are integers or pointers (`open`, `fcntl`, `ioctl`, `syscall`) are
//! defined with fixed arguments: in the System V ABI they arrive in the same registers.
#![cfg_attr(not(test), no_std)]

extern crate alloc;
// The drivers define the device hooks that services call.
extern crate virtio as _;

mod absent;
mod argument;
pub mod calendar;
pub mod copy;
pub mod dl;
pub mod env;
mod epoll;
pub mod errno;
pub mod exit;
mod fd;
mod fs;
pub mod heap;
mod interfaces;
mod io;
pub mod math;
mod message;
pub mod mmap;
mod netdb;
pub mod number;
mod poll;
pub mod pthread;
pub mod random;
mod signal;
mod socket;
#[cfg(ampoule_image)]
mod start;
pub mod strerror;
pub mod string;
mod syscall;
pub mod system;
pub mod time;
mod transfer;
pub mod unwind;
pub mod users;
