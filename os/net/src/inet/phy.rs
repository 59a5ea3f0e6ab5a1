//! The seam between smoltcp's device and ours: one frame in at a time, frames out into device memory.

use crate::checksum;
use device::{Capabilities, Frames};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// A link for the length of one call.
pub(super) struct Phy<'a> {
    frames: &'a dyn Frames,
    capabilities: Capabilities,
    /// The frame to process, if this is about one.
    frame: Option<&'a [u8]>,
    /// There was no room to transmit.
    pub(super) exhausted: bool,
    /// A neighbour was asked for its address.
    pub(super) asked: bool,
}

impl<'a> Phy<'a> {
    pub(super) fn new(frames: &'a dyn Frames, capabilities: Capabilities, frame: Option<&'a [u8]>) -> Self {
        Self { frames, capabilities, frame, exhausted: false, asked: false }
    }
}

impl Device for Phy<'_> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Transmit<'t>
    where
        Self: 't;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Transmit<'_>)> {
        let frame = self.frame.take()?;
        let transmit =
            Transmit { frames: self.frames, offload: self.capabilities.transmit_checksums, asked: &mut self.asked };
        Some((Received(frame), transmit))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Transmit<'_>> {
        if !self.frames.room() {
            self.exhausted = true;
            return None;
        }
        let offload = self.capabilities.transmit_checksums;
        Some(Transmit { frames: self.frames, offload, asked: &mut self.asked })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.capabilities.frame_max;
        // TCP and UDP are `crate::checksum`'s.
        let mut checksums = ChecksumCapabilities::default();
        checksums.tcp = Checksum::None;
        checksums.udp = Checksum::None;
        capabilities.checksum = checksums;
        capabilities
    }
}

/// The frame to process.
pub(super) struct Received<'a>(&'a [u8]);

impl smoltcp::phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for one frame, unless it is an answer and the queue is full: then the frame is lost, as on any full link.
pub(super) struct Transmit<'a> {
    frames: &'a dyn Frames,
    offload: bool,
    asked: &'a mut bool,
}

impl smoltcp::phy::TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut once = Some(f);
        let mut result = None;
        let mut asked = false;
        self.frames.transmit(length, &mut |frame| {
            result = once.take().map(|f| f(frame));
            asked = asks(frame);
            checksum::complete(frame, self.offload)
        });
        *self.asked |= asked;
        match (result, once) {
            (Some(result), _) => result,
            (None, Some(f)) => f(&mut alloc::vec![0; length]),
            (None, None) => unreachable!("a closure that ran has a result"),
        }
    }
}

/// Is the frame an ARP request (RFC 826) or a neighbour solicitation (RFC 4861 §4.3)?
fn asks(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x06]) => frame.get(20..22) == Some(&[0, 1]),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&58) && frame.get(54) == Some(&135),
        _ => false,
    }
}
