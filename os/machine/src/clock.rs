//! The clocks: monotonic time since boot, and wall time.

use crate::arch;

/// Nanoseconds since the machine started. Never goes back.
#[inline]
pub fn monotonic_ns() -> u64 {
    arch::monotonic_ns()
}

/// Nanoseconds since 1970 in UTC; counts from 1970 at boot where nobody told the machine the time. Follows the far side's
/// clock where that goes on telling it, so it may go back.
#[inline]
pub fn wall_ns() -> u64 {
    arch::wall_ns()
}
