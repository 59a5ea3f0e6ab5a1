//! The clocks: monotonic time since boot, and wall time.

use crate::arch;

/// Nanoseconds since the machine started. Never goes back.
#[inline]
pub fn monotonic_ns() -> u64 {
    arch::monotonic_ns()
}

/// Nanoseconds since 1970 in UTC; counts from 1970 at boot where nobody told the machine the time.
#[inline]
pub fn wall_ns() -> u64 {
    crate::boot().clock.wall_base_ns + monotonic_ns()
}
