//! One line of a trace, of bounded length.

use core::fmt::{self, Write};

/// The longest line, in bytes; what goes beyond is left out.
const LENGTH: usize = 2048;
/// What ends a line that was cut.
const CUT: &[u8] = b"...";

/// The line so far.
pub(crate) struct Line {
    bytes: [u8; LENGTH],
    length: usize,
}

impl Line {
    pub(crate) const EMPTY: Line = Line { bytes: [0; LENGTH], length: 0 };

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// The text so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Ends it, and hands it to the far side.
    pub(crate) fn send(&mut self) {
        // Room for both was kept.
        if self.length > LENGTH - CUT.len() - 1 {
            self.length = LENGTH - CUT.len() - 1;
            self.bytes[self.length..][..CUT.len()].copy_from_slice(CUT);
            self.length += CUT.len();
        }
        self.bytes[self.length] = b'\n';
        machine::gate::trace(&self.bytes[..=self.length]);
        self.length = 0;
    }

    /// Bytes as a string of C.
    pub(crate) fn quoted(&mut self, bytes: &[u8]) {
        self.push(b'"');
        for (at, &byte) in bytes.iter().enumerate() {
            self.escaped(byte, bytes.get(at + 1).is_some_and(u8::is_ascii_digit));
        }
        self.push(b'"');
    }

    /// `digit`: a digit follows, so that a short octal escape would take it in.
    fn escaped(&mut self, byte: u8, digit: bool) {
        let letter = match byte {
            b'\n' => b'n',
            b'\t' => b't',
            b'\r' => b'r',
            0x0b => b'v',
            0x0c => b'f',
            b'"' | b'\\' => byte,
            b' '..=b'~' => return self.push(byte),
            _ => {
                let _ = if digit { write!(self, "\\{byte:03o}") } else { write!(self, "\\{byte:o}") };
                return;
            }
        };
        self.push(b'\\');
        self.push(letter);
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_in_c() {
        let mut line = Line::EMPTY;
        line.quoted(b"a\"b\\c\n\t\0\x1b1\xff");
        assert_eq!(line.as_bytes(), br#""a\"b\\c\n\t\0\0331\377""#);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut line = Line::EMPTY;
        for _ in 0..LENGTH {
            let _ = line.write_str("ab");
        }
        assert_eq!(line.as_bytes().len(), LENGTH);
    }
}
