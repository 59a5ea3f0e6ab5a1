//! File descriptors and what they mean, in safe Rust.
//!
//! The C door (`libc`) checks pointers and calls in here; below are the stacks, the console and the threads.
//!
//! * `table`, `file`: descriptors, open files, and blocking, written once
//! * `observe`, `epoll`, `poll`, `patience`: who is told when a file becomes ready
//! * `pipe`, `unix`, `eventfd`, `timerfd`, `special`, `console`: files that stay in the machine
//! * `socket`, `inet`, `options`, `resolve`: sockets over the machine's loopback and its network
//! * `path`, `stat`: names and attributes, as far as every machine has them
//! * `names`, `files`, `regular`, `directory`, `fifo`: files that are sealed in or made, over [`fs`]
//! * `signal`: the bookkeeping of signals
//!
//! Files say what they are ready for and never block; a file that becomes readier pushes that to its observers. So
//! waiting costs what happens, not what is open.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod advisory;
pub mod ancillary;
pub mod console;
mod directory;
pub mod epoll;
pub mod errno;
pub mod eventfd;
pub mod events;
mod fifo;
pub mod file;
pub mod files;
pub mod inet;
pub mod names;
pub mod observe;
pub mod options;
mod outside;
pub mod path;
mod patience;
pub mod pipe;
pub mod poll;
mod regular;
pub mod resolve;
pub mod signal;
pub mod socket;
pub mod special;
pub mod stat;
pub mod table;
pub mod timerfd;
pub mod unix;

pub use errno::{Errno, Result};
