//! The device's half of a virtqueue, against a driver that writes whatever it likes between any two steps.

use crate::input::Input;
use crate::memory::Queue;
use abi::ring::MAX_CHAIN;

/// Runs an input: the queue's size, then steps.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let first = input.byte();
    let mut queue = Queue::new(1 << (first & 7));
    let mut device = queue.device(first & 8 != 0);
    let mut head = 0;
    while !input.is_empty() {
        match input.byte() & 7 {
            0..3 => queue.scribble(&mut input),
            3 => {
                // What was made available before this step is all that can be taken in it.
                let mut taken = 0;
                while let Ok(Some(chain)) = device.take() {
                    taken += 1;
                    assert!(taken <= queue.size, "more chains than entries");
                    let (readable, writable) = (chain.readable(), chain.writable());
                    assert!((1..=MAX_CHAIN).contains(&(readable.len() + writable.len())));
                    assert!(readable.iter().all(|b| !b.writable) && writable.iter().all(|b| b.writable));
                    let bytes: u64 = readable.iter().chain(writable).map(|b| u64::from(b.length)).sum();
                    assert!(bytes <= u64::from(u32::MAX));
                    head = chain.head();
                    assert!(head < queue.size);
                }
            }
            4 => device.complete(head, input.word()),
            5 => {
                device.publish();
                device.notify_needed();
            }
            6 => _ = device.enable_kicks(),
            _ => {
                device.disable_kicks();
                _ = device.pending();
            }
        }
    }
    queue.memory.assert_whole();
}
