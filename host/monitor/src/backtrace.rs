//! Backtraces in words: offsets into the image, and names where its debug file is at hand.

use image::debug::Symboliser;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

/// A debug file that was opened while files could be, or why it was not.
#[derive(Debug)]
pub(crate) struct Debug {
    file: Result<File, String>,
    path: String,
}

impl Debug {
    /// The file at `path`.
    pub(crate) fn open(path: &Path) -> Self {
        Self { file: File::open(path).map_err(|error| error.to_string()), path: path.display().to_string() }
    }

    /// Its bytes from the beginning on, however often they were read.
    fn whole(&self) -> Result<Vec<u8>, String> {
        let mut file = self.file.as_ref().map_err(Clone::clone)?;
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|error| error.to_string())
    }
}

/// The lines of a backtrace. `frames` are return addresses, innermost first; `base` is where the image lies, `digest` its
/// own, and `debug` its debug file, if one was named. Where that does not help, the first line says why.
pub(crate) fn render(frames: &[u64], base: u64, digest: &[u8; 32], debug: Option<&Debug>) -> String {
    let file = debug.map(Debug::whole);
    let symboliser = match &file {
        Some(Ok(file)) => Some(Symboliser::new(file, Some(digest)).map_err(|error| error.to_string())),
        Some(Err(error)) => Some(Err(error.clone())),
        None => None,
    };
    let mut out = String::new();
    if let (Some(Err(why)), Some(debug)) = (&symboliser, debug) {
        let _ = writeln!(out, "{}", crate::without_names(&debug.path, why));
    }
    let symboliser = symboliser.and_then(Result::ok);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_debug_file_there_are_offsets() {
        let text = render(&[0x5123, 0x5abc], 0x5000, &[0; 32], None);
        assert_eq!(text, "   0: image+0x123\n   1: image+0xabc\n");
        let text = render(&[0x10, u64::MAX], 0x5000, &[0; 32], None);
        assert_eq!(text, "   0: 0x10, outside the image\n   1: 0xffffffffffffffff, outside the image\n");
    }

    #[test]
    fn why_there_are_no_names_is_said() {
        let missing = Debug::open(Path::new("/nowhere/web.debug"));
        let text = render(&[0x5123], 0x5000, &[0; 32], Some(&missing));
        assert!(text.starts_with("ampoule: no names: /nowhere/web.debug: No such file"), "{text}");
        assert!(text.ends_with("\n   0: image+0x123\n"), "{text}");
        let other = Debug::open(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")));
        let text = render(&[0x5123], 0x5000, &[0; 32], Some(&other));
        assert!(text.contains("Cargo.toml: this is not a debug file of an ampoule image\n"), "{text}");
    }
}
