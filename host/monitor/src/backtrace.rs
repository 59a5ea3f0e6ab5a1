//! Backtraces in words: offsets into the image, and names where its debug file is at hand.

use image::debug::Symboliser;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _};

/// The lines of a backtrace. `frames` are return addresses, innermost first; `base` is where the image lies, `digest` its
/// own, and `debug` its debug file, if there is one.
pub(crate) fn render(frames: &[u64], base: u64, digest: &[u8; 32], debug: Option<&File>) -> String {
    let file = debug.and_then(whole);
    let symboliser = file.as_deref().and_then(|file| Symboliser::new(file, Some(digest)).ok());
    let mut out = String::new();
    for (number, frame) in frames.iter().enumerate() {
        // No image is a terabyte long: what lies elsewhere is no place in it.
        let Some(offset) = frame.checked_sub(base).filter(|offset| *offset < 1 << 40) else {
            let _ = writeln!(out, "{number:>4}: {frame:#x}, outside the image");
            continue;
        };
        // A return address is behind its call, which may be the function's last instruction.
        let places = symboliser.as_ref().map(|s| s.places(offset.wrapping_sub(1))).unwrap_or_default();
        if places.is_empty() {
            let _ = writeln!(out, "{number:>4}: image+{offset:#x}");
        }
        for (depth, place) in places.iter().enumerate() {
            let number = if depth == 0 { format!("{number:>4}:") } else { "     ".into() };
            let _ = writeln!(out, "{number} {}", place.function);
            if let Some((file, line)) = &place.line {
                let _ = writeln!(out, "             at {file}:{line}");
            }
        }
    }
    out
}

/// A file's bytes from its beginning on, however often it was read.
fn whole(mut file: &File) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).ok().map(|_| bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn without_a_debug_file_there_are_offsets() {
        let text = super::render(&[0x5123, 0x5abc], 0x5000, &[0; 32], None);
        assert_eq!(text, "   0: image+0x123\n   1: image+0xabc\n");
        let text = super::render(&[0x10, u64::MAX], 0x5000, &[0; 32], None);
        assert_eq!(text, "   0: 0x10, outside the image\n   1: 0xffffffffffffffff, outside the image\n");
    }
}
