//! A bounded ring of bytes, which takes memory only for what is in it.

use alloc::collections::VecDeque;

/// The most bytes on their way in one direction.
pub(super) const CAPACITY: usize = 128 << 10;
/// A ring that was emptied keeps this much.
const KEPT: usize = 4 << 10;

/// One direction of a connection.
#[derive(Default)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    /// Nothing will be written any more.
    pub(super) ended: bool,
}

impl Pipe {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many more bytes fit.
    pub(super) fn room(&self) -> usize {
        CAPACITY - self.bytes.len()
    }

    /// Takes what fits; how much. Takes nothing where memory has run out.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len().min(self.room());
        if self.bytes.try_reserve(length).is_err() {
            return 0;
        }
        self.bytes.extend(&bytes[..length]);
        length
    }

    /// Gives what there is; how much. With `peek` it stays.
    pub(super) fn read(&mut self, into: &mut [u8], peek: bool) -> usize {
        let length = into.len().min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let first = length.min(front.len());
        into[..first].copy_from_slice(&front[..first]);
        into[first..length].copy_from_slice(&back[..length - first]);
        if !peek {
            self.bytes.drain(..length);
            if self.bytes.is_empty() && self.bytes.capacity() > 4 * KEPT {
                self.bytes.shrink_to(KEPT);
            }
        }
        length
    }
}
