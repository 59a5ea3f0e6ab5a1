//! The frame seam: Ethernet frames in and out.

/// What the device does for the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The largest frame, in bytes, without the frame check sequence.
    pub frame_max: usize,
    /// Received TCP and UDP checksums are already verified (or the bytes never left the host).
    pub receive_checksummed: bool,
    /// The device completes TCP and UDP checksums of frames whose checksum field holds the pseudo-header's sum.
    pub transmit_checksums: bool,
}

/// A device that carries Ethernet frames (IEEE 802.3 §3, without preamble and check sequence).
pub trait Frames: Sync {
    /// The station's address.
    fn address(&self) -> [u8; 6];

    /// What the device does for the stack; constant.
    fn capabilities(&self) -> Capabilities;

    /// Hands one received frame to `take`, if there is one, and says whether there was.
    fn receive(&self, take: &mut dyn FnMut(&mut [u8])) -> bool;

    /// Lets `fill` write a frame of `length` bytes and queues it; false, without calling `fill`, if there is no room.
    /// `checksum` names the transport checksum to complete: (offset of the transport header, of its checksum field).
    fn transmit(&self, length: usize, checksum: Option<(u16, u16)>, fill: &mut dyn FnMut(&mut [u8])) -> bool;

    /// Tells the device of all frames queued since the last call. MUST be called before the machine waits.
    fn flush(&self);

    /// Asks for an event when a frame arrives (and, if `room`, when transmitting has room); true if that is already so,
    /// and then nobody may sleep.
    fn arm(&self, room: bool) -> bool;
}
