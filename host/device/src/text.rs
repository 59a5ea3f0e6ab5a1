//! Text on the stack, for those who may no longer allocate.

/// A piece of text of at most `SIZE` bytes; what does not fit is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Text<const SIZE: usize> {
    /// The text, and zeros behind it.
    pub bytes: [u8; SIZE],
    /// How many bytes it has.
    pub length: usize,
}

impl<const SIZE: usize> Text<SIZE> {
    /// None yet.
    pub const NEW: Self = Self { bytes: [0; SIZE], length: 0 };
}

impl<const SIZE: usize> core::fmt::Write for Text<SIZE> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = &mut self.bytes[self.length..];
        let take = text.len().min(room.len());
        room[..take].copy_from_slice(&text.as_bytes()[..take]);
        self.length += take;
        Ok(())
    }
}
