//! The frame seam: Ethernet frames in and out.

/// What the device does for the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The largest frame, in bytes, without the frame check sequence.
    pub frame_max: usize,
    /// The device completes TCP and UDP checksums whose field holds the pseudo-header's sum; see [`Offload`].
    pub transmit_checksums: bool,
    /// The largest frame, in bytes, that the device cuts into TCP segments ([`Offload::cut`]); 0 if it cuts none.
    pub cut_max: usize,
}

/// What the device is to do to a frame before it leaves: complete the transport checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Where in the frame the checksummed bytes start, which is the transport header.
    pub start: u16,
    /// Where the checksum's field is, counted from `start`.
    pub offset: u16,
    /// Unless it is 0: the frame is a TCP segment to be cut into ones with so many bytes of payload.
    pub cut: u16,
}

/// A device that carries Ethernet frames (IEEE 802.3 §3, without preamble and check sequence).
///
/// What differs from frame to frame is said with the frame: whether a received one was verified depends on where it came
/// from, and whether a sent one has a checksum to complete is known only once it is written.
pub trait Frames: Sync {
    /// The station's address.
    fn address(&self) -> [u8; 6];

    /// What the device does for the stack; constant.
    fn capabilities(&self) -> Capabilities;

    /// Hands one received frame to `take`, if there is one, and says whether there was. The second argument tells whether
    /// the frame's TCP or UDP checksum needs no look: it was verified, or the frame never left the host. A frame MAY be longer
    /// than [`Capabilities::frame_max`]: TCP segments that came together.
    /// `take` MAY transmit; it MUST NOT receive.
    fn receive(&self, take: &mut dyn FnMut(&mut [u8], bool)) -> bool;

    /// Would [`Frames::transmit`] take a frame now?
    fn room(&self) -> bool;

    /// Lets `fill` write a frame of `length` bytes, zeroed or not, and queues it; false, without calling `fill`, if there
    /// is no room or the frame is too long. `fill` says what is left to the device. A frame longer than
    /// [`Capabilities::frame_max`] MUST be one to be cut.
    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Option<Offload>) -> bool;

    /// Tells the device of all frames queued since the last call. MUST be called before the machine waits.
    fn flush(&self);

    /// Asks for an event when a frame arrives (and, if `room`, when transmitting has room); true if that is already so,
    /// and then nobody may sleep.
    fn arm(&self, room: bool) -> bool;
}
