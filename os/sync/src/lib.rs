//! Locks for the library OS itself: short, never sleeping, safe against pre-emption.
//!
//! A thread that holds a [`SpinLock`] cannot be pre-empted, so on one CPU the lock is always free when it is wanted, and
//! on several the wait is as short as the critical section. Programs' own locks are futexes and live in `thread`.
#![cfg_attr(not(test), no_std)]

mod once;
mod spin;

pub use once::Once;
pub use spin::{Guard, Lasting, SpinLock, lasting};
