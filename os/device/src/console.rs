//! The console seam: three byte streams.

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// What a read of standard input gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// This many bytes, at least 1.
    Bytes(usize),
    /// Nothing yet.
    Empty,
    /// The end; nothing will follow.
    End,
}

/// A console.
pub trait Console: Sync {
    /// Takes bytes for output, all or as many as there is room for (0: none until [`Console::flush`] has made some).
    /// Output of one stream stays in order. Where a kick costs a machine exit the bytes may wait for the next flush.
    fn write(&self, stream: Stream, bytes: &[u8]) -> usize;

    /// Brings everything written so far to the far side. MUST be called before the machine ends.
    fn flush(&self);

    /// Reads input that has arrived.
    fn read(&self, buffer: &mut [u8]) -> Input;

    /// Looks at the queues; true if input arrived or room for output appeared since the last call.
    fn poll(&self) -> bool;

    /// Asks for an event when [`Console::poll`] would be true; true if it already is, and then nobody may sleep.
    fn arm(&self) -> bool;
}
