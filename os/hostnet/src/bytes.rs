//! A queue of bytes that grows by need, up to a bound: what pipes and sockets keep data in.
//!
//! A power of two in size, so that positions wrap by masking. It gives memory back when it runs empty after a burst.
//! (`VecDeque<u8>` does the same with more code on each call; a pipe's `read` has 30 ns for everything.)

use alloc::vec::Vec;

/// The first allocation, in bytes.
const SMALLEST: usize = 512;
/// An empty queue larger than this gives its memory back.
const KEPT: usize = 16 << 10;

/// There was no memory to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// The queue.
#[derive(Debug, Default)]
pub struct ByteQueue {
    /// Its length is 0 or a power of two.
    buffer: Vec<u8>,
    head: usize,
    length: usize,
}

impl ByteQueue {
    /// An empty queue; allocates nothing.
    pub const fn new() -> Self {
        ByteQueue { buffer: Vec::new(), head: 0, length: 0 }
    }

    /// Bytes in the queue.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Is it empty?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends all of `bytes`, or nothing where memory is short.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        let needed = self.length.checked_add(bytes.len()).ok_or(OutOfMemory)?;
        if needed > self.buffer.len() {
            self.grow(needed)?;
        }
        let size = self.buffer.len();
        if size == 0 {
            return Ok(());
        }
        let tail = (self.head + self.length) & (size - 1);
        let first = bytes.len().min(size - tail);
        let (start, wrapped) = bytes.split_at(first);
        self.buffer[tail..tail + first].copy_from_slice(start);
        self.buffer[..wrapped.len()].copy_from_slice(wrapped);
        self.length = needed;
        Ok(())
    }

    /// Copies the first bytes out without taking them; gives their number.
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.length);
        let (start, wrapped) = buffer[..count].split_at_mut(count.min(self.buffer.len() - self.head));
        start.copy_from_slice(&self.buffer[self.head..self.head + start.len()]);
        wrapped.copy_from_slice(&self.buffer[..wrapped.len()]);
        count
    }

    /// Takes the first bytes out; gives their number.
    #[inline]
    pub fn pop(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.peek(buffer);
        self.discard(count);
        count
    }

    /// The first bytes that lie in one piece.
    pub fn front(&self) -> &[u8] {
        &self.buffer[self.head..self.buffer.len().min(self.head + self.length)]
    }

    /// Drops the first `count` bytes (at most all).
    #[inline]
    pub fn discard(&mut self, count: usize) {
        let count = count.min(self.length);
        self.length -= count;
        if self.length > 0 {
            self.head = (self.head + count) & (self.buffer.len() - 1);
            return;
        }
        self.head = 0;
        if self.buffer.len() > KEPT {
            self.buffer = Vec::new();
        }
    }

    /// Drops everything, and the memory.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    #[cold]
    fn grow(&mut self, needed: usize) -> Result<(), OutOfMemory> {
        let size = needed.checked_next_power_of_two().ok_or(OutOfMemory)?.max(SMALLEST);
        let mut larger = Vec::new();
        larger.try_reserve_exact(size).map_err(|_| OutOfMemory)?;
        larger.resize(size, 0);
        let length = self.peek(&mut larger);
        *self = ByteQueue { buffer: larger, head: 0, length };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_across_wraps_and_growth() {
        let mut queue = ByteQueue::new();
        let (mut written, mut read) = (0u32, 0u32);
        for round in 0..2000usize {
            let chunk: Vec<u8> = (0..round * 7 % 611).map(|_| (written, written += 1).0 as u8).collect();
            queue.push(&chunk).expect("memory");
            let mut out = vec![0; round * 5 % 607];
            let count = queue.pop(&mut out);
            for byte in &out[..count] {
                assert_eq!(*byte, read as u8);
                read += 1;
            }
        }
        assert_eq!(queue.len(), (written - read) as usize);
    }

    #[test]
    fn peeking_takes_nothing_and_emptying_gives_memory_back() {
        let mut queue = ByteQueue::new();
        queue.push(&[7; 100_000]).expect("memory");
        assert_eq!(queue.peek(&mut [0; 10]), 10);
        assert_eq!(queue.len(), 100_000);
        queue.discard(200_000);
        assert!(queue.is_empty());
        assert_eq!(queue.buffer.capacity(), 0);
    }
}
