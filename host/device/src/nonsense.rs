//! What ends a machine: a guest that broke a device's protocol.

use crate::OutOfRam;
use abi::ring::RingError;

/// A guest broke the protocol of one of its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonsense {
    /// Which device.
    pub device: &'static str,
    /// Which of its queues.
    pub queue: &'static str,
    /// How.
    pub what: What,
}

/// How a guest broke a device's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// the virtqueue itself
    Ring(RingError),
    /// a buffer outside the memory that devices may touch
    Memory(OutOfRam),
    /// a chain without the buffers that this queue wants, or with too short ones
    Chain,
    /// a header with an unknown kind, or with a length that its buffer does not have
    Header,
}

impl From<RingError> for What {
    fn from(error: RingError) -> Self {
        What::Ring(error)
    }
}

impl From<OutOfRam> for What {
    fn from(error: OutOfRam) -> Self {
        What::Memory(error)
    }
}

impl core::fmt::Display for Nonsense {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "device {}, queue {}: ", self.device, self.queue)?;
        match self.what {
            What::Ring(error) => f.write_str(error.describe()),
            What::Memory(m) => {
                write!(f, "a buffer of {} bytes at {:#x} lies outside the machine's arena", m.length, m.address.0)
            }
            What::Chain => f.write_str("a chain lacks a buffer that this queue wants, or has too short a one"),
            What::Header => f.write_str("a header names an unknown kind or more bytes than its buffer has"),
        }
    }
}

impl core::error::Error for Nonsense {}
