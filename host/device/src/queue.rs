//! What serving a queue came to.

use abi::ring::Device;

/// What serving a queue came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Served {
    /// The driver wants to be told of buffers that were used.
    pub notify: bool,
}

impl Served {
    /// Publishes what was completed on `queue`, and asks whether the driver wants to know.
    pub fn publish(queue: &mut Device) -> Self {
        queue.publish();
        Self { notify: queue.notify_needed() }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self { notify: self.notify || other.notify }
    }
}
