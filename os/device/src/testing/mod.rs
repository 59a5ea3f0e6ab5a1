//! The seams without devices, for tests on the host: each as a loopback, with faults, and traced.
//!
//! Everything here is deterministic: time is what the test says it is, and faults come from a seed.

mod console;
mod entropy;
mod frames;
mod link;
mod random;

pub use console::{ConsoleCall, MemoryConsole, StingyConsole, TracedConsole};
pub use entropy::{CountingEntropy, DryEntropy};
pub use frames::{TracedFrames, Wire, WireEnd};
pub use link::{Faults, Link};
pub use random::Random;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A test that panicked elsewhere does not make this one harder to read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
