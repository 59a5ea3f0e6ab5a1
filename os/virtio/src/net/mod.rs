//! The network device (VIRTIO 1.2 §5.1): Ethernet frames, with checksum and segmentation offload both ways.
//!
//! Received frames are handed to the stack where they lie; their buffers go back in batches ([`receive`]). Sent frames
//! are written by the stack straight into device memory, their buffers are taken back only when new ones are needed, and
//! one kick at `flush` tells the device of all of them ([`transmit`]). Receiving and sending have a lock each, so that the
//! stack may answer a frame while it looks at it.

mod receive;
mod transmit;

use crate::platform;
use crate::transport::{Opened, Wanted, open};
use abi::boot::Device;
use device::{Capabilities, Offload};
use receive::Receive;
use sync::{Lasting, lasting};
use transmit::Transmit;

/// Feature bits (§5.1.3).
const FEATURE_CSUM: u64 = 1 << 0;
const FEATURE_GUEST_CSUM: u64 = 1 << 1;
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_GUEST_TSO4: u64 = 1 << 7;
const FEATURE_GUEST_TSO6: u64 = 1 << 8;
const FEATURE_HOST_TSO4: u64 = 1 << 11;
const FEATURE_HOST_TSO6: u64 = 1 << 12;
const FEATURE_MRG_RXBUF: u64 = 1 << 15;
/// Segments that came together, which take several buffers.
const RECEIVES_LONG: u64 = FEATURE_GUEST_CSUM | FEATURE_GUEST_TSO4 | FEATURE_GUEST_TSO6 | FEATURE_MRG_RXBUF;
/// Segments that the device cuts.
const SENDS_LONG: u64 = FEATURE_CSUM | FEATURE_HOST_TSO4 | FEATURE_HOST_TSO6;

pub(crate) const WANTED: Wanted = Wanted {
    name: "net",
    features: FEATURE_MAC | RECEIVES_LONG | SENDS_LONG,
    // Without room for several buffers a frame, long frames would be cut off.
    together: RECEIVES_LONG & !FEATURE_GUEST_CSUM,
    queue_sizes: &[256, 256],
};
/// `struct virtio_net_hdr` (§5.1.6): 12 bytes with `VIRTIO_F_VERSION_1`.
const HEADER: usize = 12;
/// `flags`: the checksum from `csum_start` on is to be completed.
const NEEDS_CSUM: u8 = 1;
/// The largest frame: 1500 bytes of payload.
const FRAME_MAX: usize = 1514;
/// Bytes of a buffer: header and frame, a multiple of a cache line.
const BUFFER: usize = 1536;
/// From this much free memory on there are long buffers as well.
const AMPLE: usize = 32 << 20;

/// The driver.
pub(crate) struct Net {
    address: [u8; 6],
    capabilities: Capabilities,
    receive: Lasting<Receive>,
    transmit: Lasting<Transmit>,
}

impl Net {
    /// Opens device number `index`.
    pub(crate) fn open(index: usize, device: &Device) -> Option<Self> {
        Self::new(open(index, device, &WANTED)?, index)
    }

    /// On the opened device number `index`.
    pub(crate) fn new(opened: Opened, index: usize) -> Option<Self> {
        let mut queues = opened.queues.into_iter();
        let free = platform::free_bytes();
        let ample = free >= AMPLE;
        // A sixteenth of the memory at most, as long as a burst of a few dozen frames still fits.
        let count = (free / 32 / BUFFER).clamp(32, 128);
        let has = |features: u64| opened.features & features == features;
        let receive = Receive::new(queues.next()?, count, ample && has(RECEIVES_LONG))?;
        let transmit = Transmit::new(queues.next()?, count, ample && has(SENDS_LONG))?;
        let mut address: [u8; 6] = opened.config.array(0);
        if !has(FEATURE_MAC) {
            // Locally administered (IEEE 802 §8.4): the device has none of its own.
            address = [0x02, 0x41, 0x4d, 0x50, 0x4f, index as u8];
        }
        let capabilities =
            Capabilities { frame_max: FRAME_MAX, transmit_checksums: has(FEATURE_CSUM), cut_max: transmit.long_max() };
        Some(Self { address, capabilities, receive: lasting(receive), transmit: lasting(transmit) })
    }
}

impl device::Frames for Net {
    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&self, take: &mut dyn FnMut(&mut [u8], bool)) -> bool {
        self.receive.lock().receive(take)
    }

    fn room(&self) -> bool {
        self.transmit.lock().room()
    }

    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Option<Offload>) -> bool {
        self.transmit.lock().transmit(length, fill)
    }

    fn flush(&self) {
        self.transmit.lock().kick();
        self.receive.lock().give_back();
    }

    fn arm(&self, room: bool) -> bool {
        let frame = self.receive.lock().arm();
        let room = room && self.transmit.lock().arm();
        frame | room
    }
}
