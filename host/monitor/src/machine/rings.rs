//! The machine's virtqueues: where their memory lies, for the guest and for the servers.

use super::layout::{self, Span};
use crate::network::Link;
use abi::address::GuestAddr;
use abi::boot::Queue;
use abi::ring::{Areas, Device, Layout};

/// How many queues the devices have.
pub(crate) const CONSOLE_QUEUES: usize = 3;
pub(crate) const HOSTNET_QUEUES: usize = 3;
pub(crate) const FRAMES_QUEUES: usize = 2;
/// Entries of the console's queues.
const CONSOLE_SIZES: [u16; CONSOLE_QUEUES] = [16, 64, 64];
/// Entries of the host-socket device's queues: control, send, events.
const HOSTNET_SIZES: [u16; HOSTNET_QUEUES] = [64, 64, 256];

/// Entries of the network device's queues: receive, transmit.
const FRAMES_SIZES: [u16; FRAMES_QUEUES] = [256, 256];

/// The queues, as the guest is told of them.
#[derive(Clone, Debug)]
pub(crate) struct Rings {
    queues: Vec<Queue>,
    link: Link,
    length: u64,
}

impl Rings {
    /// Lays the queues out one after the other, from address 0; [`Rings::at`] moves them.
    pub(crate) fn plan(link: Link) -> Self {
        let network: &[u16] = match link {
            Link::None => &[],
            Link::Sockets => &HOSTNET_SIZES,
            Link::Frames => &FRAMES_SIZES,
        };
        let sizes = CONSOLE_SIZES.iter().chain(network).copied();
        let mut length = 0u64;
        let queues = sizes
            .map(|size| {
                let layout = Layout::of(size);
                let start = length.next_multiple_of(64);
                length = start + layout.length as u64;
                Queue {
                    size: u64::from(size),
                    descriptors: GuestAddr(start),
                    available: GuestAddr(start + layout.available as u64),
                    used: GuestAddr(start + layout.used as u64),
                    doorbell_port: 0,
                }
            })
            .collect();
        Self { queues, link, length }
    }

    /// Bytes of all queues.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The same, in this memory.
    pub(crate) fn at(mut self, memory: Span) -> Self {
        for queue in &mut self.queues {
            queue.descriptors.0 += memory.start;
            queue.available.0 += memory.start;
            queue.used.0 += memory.start;
        }
        self
    }

    /// The console's queues.
    pub(crate) fn console(&self) -> &[Queue] {
        &self.queues[..3]
    }

    /// The host-socket device's queues, if there is one.
    pub(crate) fn hostnet(&self) -> Option<&[Queue]> {
        (self.link == Link::Sockets).then(|| &self.queues[3..])
    }

    /// The network device's queues, if there is one.
    pub(crate) fn frames(&self) -> Option<&[Queue]> {
        (self.link == Link::Frames).then(|| &self.queues[3..])
    }
}

/// The device halves of a device's queues.
///
/// # Safety
/// The queues' memory is mapped for as long as they are served, and only used through rings.
pub(crate) unsafe fn serve<const COUNT: usize>(queues: &[Queue], layout: &layout::Layout) -> Option<[Device; COUNT]> {
    let device = |queue: &Queue| {
        let size = u16::try_from(queue.size).ok()?;
        let at = |address: GuestAddr| layout.host(address.0);
        // SAFETY: `Rings::plan` gave each area its room, and the caller vouches for the memory.
        let areas = unsafe { Areas::new(size, at(queue.descriptors), at(queue.available), at(queue.used)) }.ok()?;
        Some(Device::new(areas, false))
    };
    queues.iter().map(device).collect::<Option<Vec<_>>>()?.try_into().ok()
}
