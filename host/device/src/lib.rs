//! The host's side of our own devices: servers that take chains from a virtqueue and do what they say.
//!
//! Written once for both of our backends. The process tender runs them inside the child, where after lock-down there is
//! no allocator, no thread-local storage and only a handful of system calls; so the crate is `no_std`, takes all its
//! memory at set-up, and makes every system call through the one instruction in [`system`].
//!
//! # Trust
//! Whatever stands in the guest's memory may be hostile. Rings are read through [`abi::ring::Device`], buffers through
//! [`Ram`], whose answers are bounded and never become Rust references; what is read is copied before it is checked.
//! Nonsense ends the machine with a [`Nonsense`] that names device, queue and what was wrong; it never panics.
#![cfg_attr(not(test), no_std)]

pub mod capture;
pub mod console;
pub mod control;
pub mod hostnet;
mod memory;
pub mod net;
mod nonsense;
mod queue;
pub mod system;
pub mod text;
mod traffic;

pub use memory::{OutOfRam, Plain, Ram, bytes_of, value_of};
pub use nonsense::{Nonsense, What};
pub use queue::Served;
pub use traffic::Traffic;
