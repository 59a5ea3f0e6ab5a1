//! Drivers: what stands behind the device seams, over split virtqueues (VIRTIO 1.2).
//!
//! | folder or file | what |
//! |---|---|
//! | [`transport`] | how a queue is found, laid out and notified: shared memory, MMIO or PCI. A driver sees only the result |
//! | `queue` | one virtqueue with its doorbell |
//! | `memory` | device memory: pages of the arena, seen by both sides |
//! | `console`, `host_sockets`, `net`, `entropy` | the drivers, one a file |
//! | `hooks` | the four symbols by which a service reaches its driver |
//! | `platform` | the few things the drivers ask of the machine, so that host tests can stand in for it |
//!
//! # Notifications
//! Nobody interrupts a machine that runs: `used_event` is parked far ahead, and queues are looked at when the scheduler
//! polls. Only `arm`, called before the machine sleeps, asks for an event. In the other direction a kick is a machine
//! exit, so drivers publish as they go and leave kicking to `flush` or to the gate's `wait`, except where the boot
//! information says that a kick is a plain call (`DEVICE_FLAG_CHEAP_KICK`): then they kick at once and take the result.
//!
//! # Trust
//! A far side can do worse than break a ring, so a ring that makes no sense is not survived but reported: the machine
//! ends with the device's name and the [`abi::ring::RingError`].
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod console;
mod entropy;
mod hooks;
mod host_sockets;
mod memory;
mod net;
mod platform;
mod queue;
#[cfg(test)]
mod tests;
pub mod transport;
