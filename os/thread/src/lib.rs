//! Threads: scheduler, timers, parking, futexes, and the pollers that devices are served by.
//!
//! Threads are user-level and share one vCPU today. A switch is a function call of some ten nanoseconds; a thread that
//! does not give the CPU up is interrupted at the end of its slice ([`SLICE_NS`]), or before it if somebody wakes who has had
//! less; ticks come only while there is more than one thread. When no thread can run, the one that parked last asks the pollers and then the gate to wait.
//!
//! * `list`, `queue`, `futex`: who waits for what; the same code everywhere.
//! * `turn`: who of those that can run is the next.
//! * `sched`, `block`, `timer`, `thread`: the scheduler of an image. In unit tests on a host `hosted` stands in for it, with
//!   the host's threads.
//! * `poller`: devices and stop events.
//!
//! Deadlines are nanoseconds on the machine's monotonic clock, absolute.
#![cfg_attr(ampoule_image, no_std)]

extern crate alloc;

#[cfg(ampoule_image)]
mod block;
pub mod futex;
mod list;
mod poller;
mod queue;
#[cfg(not(ampoule_image))]
#[path = "hosted.rs"]
mod sched;
#[cfg(ampoule_image)]
mod sched;
#[cfg(ampoule_image)]
mod thread;
#[cfg(any(ampoule_image, test))]
mod timer;
#[cfg(any(ampoule_image, test))]
mod turn;

pub use poller::{Poller, on_stop, poll, register_poller};
pub use queue::WaitQueue;
use sched::stand_back;
pub use sched::{Thread, current, current_id, exit, park, slot, spawn, start, yield_now};

/// The time slice, in nanoseconds: a busy thread has the CPU for so long before another one that is ready.
pub const SLICE_NS: u64 = 4_000_000;

/// What a new thread is to be.
#[derive(Clone, Copy, Debug)]
pub struct Spawn<'a> {
    /// Bytes of stack, rounded up to pages; a guard page comes below.
    pub stack_size: usize,
    /// Its name; at most 15 bytes are kept.
    pub name: &'a [u8],
    /// What it runs. The result is [`Thread::join`]'s.
    pub entry: fn(usize) -> usize,
    /// What `entry` is given.
    pub argument: usize,
}

/// Why there is no new thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnError {
    /// no room for the stack; ask for a smaller one, or give the machine more memory
    NoMemory,
}

/// Why [`park`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Somebody called [`Thread::unpark`], now or before.
    Woken,
    /// The deadline passed.
    TimedOut,
}

fn name_array(name: &[u8]) -> [u8; 16] {
    let mut array = [0; 16];
    let length = name.len().min(15);
    array[..length].copy_from_slice(&name[..length]);
    array
}
