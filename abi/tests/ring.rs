//! The virtqueue: both halves against each other, and the device half against drivers that lie.
#![cfg(not(ring_model))]
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use ampoule_abi::address::BusAddr;
use ampoule_abi::ring::{Areas, Buffer, Device, Driver, Layout, MAX_CHAIN, RingError};
use proptest::prelude::*;
use std::collections::VecDeque;

/// Memory for a queue, aligned as it must be.
struct Memory {
    words: Vec<u128>,
    size: u16,
}

impl Memory {
    fn new(size: u16) -> Self {
        Self { words: vec![0; Layout::of(size).length.div_ceil(16)], size }
    }

    fn areas(&mut self) -> Areas {
        // SAFETY: the block is long enough and aligned; it outlives the test's use of it.
        unsafe { Areas::in_block(self.size, self.words.as_mut_ptr().cast()) }.unwrap()
    }

    /// Writes raw bytes, as a hostile driver would.
    fn poke(&mut self, at: usize, bytes: &[u8]) {
        let block = self.words.as_mut_ptr().cast::<u8>();
        assert!(at + bytes.len() <= self.words.len() * 16);
        // SAFETY: inside the block, checked above.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.add(at), bytes.len()) };
    }
}

fn buffer(address: u64, length: u32, writable: bool) -> Buffer {
    Buffer { address: BusAddr(address), length, writable }
}

#[test]
fn a_chain_goes_there_and_back() {
    let mut memory = Memory::new(4);
    let mut driver = Driver::new(memory.areas(), false);
    let mut device = Device::new(memory.areas(), false);
    assert_eq!(driver.add(&[]), None);
    let head = driver.add(&[buffer(1, 10, false), buffer(2, 20, true)]).unwrap();
    assert_eq!(driver.free(), 2);
    assert!(device.take().unwrap().is_none(), "not yet published");
    driver.publish();
    assert!(driver.kick_needed() && !driver.kick_needed());
    let chain = device.take().unwrap().unwrap();
    assert_eq!((chain.head(), chain.readable().len(), chain.writable().len()), (head, 1, 1));
    device.complete(chain.head(), 20);
    assert!(driver.take_used().unwrap().is_none(), "not yet published");
    device.publish();
    assert!(device.notify_needed());
    let used = driver.take_used().unwrap().unwrap();
    assert_eq!((used.head, used.length, driver.free()), (head, 20, 4));
}

#[test]
fn a_driver_believes_no_device() {
    let size = 4u16;
    let layout = Layout::of(size);
    let used_after = |index: u16, id: u32, length: u32| {
        let mut memory = Memory::new(size);
        let mut driver = Driver::new(memory.areas(), false);
        driver.add(&[buffer(1, 10, true)]).unwrap();
        driver.publish();
        memory.poke(layout.used + 2, &index.to_le_bytes());
        memory.poke(layout.used + 4, &id.to_le_bytes());
        memory.poke(layout.used + 8, &length.to_le_bytes());
        driver.take_used().map(|used| used.is_some())
    };
    assert_eq!(used_after(1, 0, 10), Ok(true));
    assert_eq!(used_after(5, 0, 10), Err(RingError::IndexJumped));
    assert_eq!(used_after(1, 4, 10), Err(RingError::NoSuchDescriptor));
    assert_eq!(used_after(1, u32::MAX, 10), Err(RingError::NoSuchDescriptor));
    assert_eq!(used_after(1, 2, 10), Err(RingError::NotOutstanding));
    assert_eq!(used_after(1, 0, 11), Err(RingError::UsedTooLong));
}

#[test]
fn a_device_believes_no_driver() {
    let size = 32u16;
    let layout = Layout::of(size);
    let taken = |descriptors: &[(u32, u16, u16)], index: u16, head: u16| {
        let mut memory = Memory::new(size);
        for (i, (length, flags, next)) in descriptors.iter().enumerate() {
            memory.poke(16 * i + 8, &length.to_le_bytes());
            memory.poke(16 * i + 12, &flags.to_le_bytes());
            memory.poke(16 * i + 14, &next.to_le_bytes());
        }
        memory.poke(layout.available + 2, &index.to_le_bytes());
        memory.poke(layout.available + 4, &head.to_le_bytes());
        Device::new(memory.areas(), false).take().map(|chain| chain.is_some())
    };
    assert_eq!(taken(&[(1, 0, 0)], 1, 0), Ok(true));
    assert_eq!(taken(&[(1, 0, 0)], 33, 0), Err(RingError::IndexJumped));
    assert_eq!(taken(&[(1, 0, 0)], 1, 32), Err(RingError::NoSuchDescriptor));
    assert_eq!(taken(&[(1, 1, 99)], 1, 0), Err(RingError::NoSuchDescriptor));
    assert_eq!(taken(&[(1, 1, 0)], 1, 0), Err(RingError::ChainTooLong));
    assert_eq!(taken(&[(1, 4, 0)], 1, 0), Err(RingError::UnknownFlag));
    assert_eq!(taken(&[(1, 3, 1), (1, 0, 0)], 1, 0), Err(RingError::OutOfOrder));
    assert_eq!(taken(&[(u32::MAX, 1, 1), (1, 0, 0)], 1, 0), Err(RingError::TooManyBytes));
}

#[test]
fn bad_areas_are_refused() {
    let mut block = [0u128; 64];
    let start = block.as_mut_ptr().cast::<u8>();
    // SAFETY: refused before anything is touched, or inside the block.
    unsafe {
        for size in [0, 3, 2048] {
            assert_eq!(Areas::in_block(size, start).err(), Some(RingError::BadSize));
        }
        assert_eq!(Areas::in_block(4, start.add(8)).err(), Some(RingError::Misaligned));
    }
}

proptest! {
    /// Whatever stands in the ring's memory: errors, never a panic, and never more work than the queue is long.
    #[test]
    fn random_memory_is_survived(bytes in prop::collection::vec(any::<u8>(), Layout::of(8).length), rounds in 1usize..40) {
        let mut memory = Memory::new(8);
        memory.poke(0, &bytes);
        let mut device = Device::new(memory.areas(), true);
        for _ in 0..rounds {
            match device.take() {
                Ok(Some(chain)) => {
                    prop_assert!(chain.readable().len() + chain.writable().len() <= MAX_CHAIN);
                    device.complete(chain.head(), 0);
                    device.publish();
                    let _ = device.notify_needed();
                }
                Ok(None) | Err(_) => break,
            }
        }
        let mut driver = Driver::new(memory.areas(), true);
        for _ in 0..rounds {
            let _ = driver.add(&[buffer(0, 1, true)]);
            driver.publish();
            let _ = driver.kick_needed();
            if driver.take_used().is_err() {
                break;
            }
        }
    }

    /// Any interleaving of both sides: every chain comes back once, in the order in which the device completed it, with
    /// its length, and no descriptor is lost.
    #[test]
    fn nothing_is_lost(steps in prop::collection::vec((0u8..4, 1usize..5), 1..400), event_idx: bool) {
        let mut memory = Memory::new(8);
        let mut driver = Driver::new(memory.areas(), event_idx);
        let mut device = Device::new(memory.areas(), event_idx);
        let (mut sent, mut held, mut done) = (VecDeque::new(), Vec::new(), VecDeque::new());
        let mut stamp = 0u32;
        for (step, amount) in steps {
            match step {
                0 => {
                    stamp += 1;
                    let chain: Vec<_> = (0..amount).map(|_| buffer(stamp.into(), stamp, true)).collect();
                    let free = usize::from(driver.free());
                    match driver.add(&chain) {
                        Some(head) => sent.push_back((head, stamp)),
                        None => prop_assert!(free < amount),
                    }
                    driver.publish();
                }
                1 => for _ in 0..amount {
                    let Some(chain) = device.take().unwrap() else { break };
                    let (head, stamp) = sent.pop_front().unwrap();
                    prop_assert_eq!((chain.head(), chain.writable()[0].length), (head, stamp));
                    held.push((head, stamp));
                },
                2 if !held.is_empty() => {
                    let (head, stamp) = held.swap_remove(amount % held.len());
                    device.complete(head, stamp);
                    device.publish();
                    done.push_back((head, stamp));
                }
                _ => while let Some(used) = driver.take_used().unwrap() {
                    prop_assert_eq!(Some((used.head, used.length)), done.pop_front());
                },
            }
        }
        while let Some(chain) = device.take().unwrap() {
            held.push((chain.head(), 0));
        }
        for (head, _) in held {
            device.complete(head, 0);
        }
        device.publish();
        while driver.take_used().unwrap().is_some() {}
        prop_assert_eq!(driver.free(), 8);
    }
}
