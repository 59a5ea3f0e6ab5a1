//! What went through a network device.

/// Counts since the machine's start. A message is what the device carries as one piece: a frame, a datagram, or the bytes of
/// one read or write of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages to the guest.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Messages from the guest.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
}

impl Traffic {
    /// A message of so many bytes for the guest.
    pub(crate) fn receive(&mut self, bytes: u32) {
        self.received += 1;
        self.received_bytes += u64::from(bytes);
    }

    /// A message of so many bytes from the guest.
    pub(crate) fn send(&mut self, bytes: u32) {
        self.sent += 1;
        self.sent_bytes += u64::from(bytes);
    }
}
