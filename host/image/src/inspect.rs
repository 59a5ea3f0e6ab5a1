//! What is in an image, for a person to read: segments, manifest, digest, and the crates by size.

use crate::debug::{self, DebugError};
use crate::files::{Listed, list};
use crate::{Image, Sealed};
use abi::image::ImageSegment;
use abi::manifest::Manifest;
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSymbol as _};
use std::collections::BTreeMap;

/// Everything there is to say about an image.
#[derive(Debug)]
pub struct Report<'a> {
    /// Bytes of the file.
    pub file_length: u64,
    /// Bytes of address space.
    pub span: u64,
    /// The digest in hexadecimal.
    pub digest: String,
    /// The segments, ascending.
    pub segments: &'a [ImageSegment],
    /// The manifest.
    pub manifest: &'a Manifest,
    /// How many words are relocated at the start.
    pub relocations: usize,
    /// Bytes of the sealed symbol file.
    pub symbols: u64,
    /// The sealed files.
    pub files: Vec<Listed>,
    /// Is an exokernel inside?
    pub exokernel: bool,
    /// Bytes of code and data by crate, largest first; empty without a debug file.
    pub crates: Vec<(String, u64)>,
}

/// Describes an image; with its debug file also what the crates take.
pub fn inspect<'a>(image: &'a Image, debug: Option<&[u8]>) -> Result<Report<'a>, DebugError> {
    Ok(Report {
        file_length: image.bytes().len() as u64,
        span: image.header().span,
        digest: hex(image.digest()),
        segments: image.segments(),
        manifest: image.manifest(),
        relocations: image.relocations().len(),
        symbols: image.header().symbols.length,
        files: image.files().map_or_else(Vec::new, |files| list(&files)),
        exokernel: image.has_exokernel(),
        crates: debug.map_or(Ok(Vec::new()), |file| crates(debug::read(file, Some(image.digest()))?.0))?,
    })
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Sealed {
    /// The digest in hexadecimal.
    pub fn digest_hex(&self) -> String {
        hex(&self.digest)
    }
}

fn crates(elf: &[u8]) -> Result<Vec<(String, u64)>, DebugError> {
    let elf = ElfFile64::<object::LittleEndian>::parse(elf)?;
    let mut sizes = BTreeMap::<String, u64>::new();
    let mut last = None;
    let mut symbols: Vec<_> = elf
        .symbols()
        .filter(|s| s.is_definition() && s.size() > 0)
        .filter(|s| matches!(s.kind(), object::SymbolKind::Text | object::SymbolKind::Data | object::SymbolKind::Tls))
        .map(|s| (s.address(), s.size(), s.name().unwrap_or_default()))
        .collect();
    symbols.sort_unstable();
    for (address, size, name) in symbols {
        // Functions that were folded into one have one address and several names.
        if last.replace(address) != Some(address) {
            *sizes.entry(crate_of(name)).or_default() += size;
        }
    }
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(sizes)
}

/// The crate that a symbol's name begins with; an implementation counts for the type it is for.
fn crate_of(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    if name == symbol {
        return "(C names)".into();
    }
    let path = name.trim_start_matches(['<', '&', '*', '[', '(', ' ']);
    let path = path.trim_start_matches("dyn ").trim_start_matches("mut ").trim_start_matches("const ");
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    let (first, rest) = path.split_at(end);
    match name.split_once(" as ") {
        // A built-in type belongs to nobody; the trait does.
        Some((_, of)) if !rest.starts_with("::") => {
            of.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("core").into()
        }
        _ if first.is_empty() || !rest.starts_with("::") => "core".into(),
        _ => first.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_their_crates() {
        assert_eq!(crate_of("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE"), "core");
        assert_eq!(crate_of("memcpy"), "(C names)");
        assert_eq!(crate_of("_ZN44_$LT$$RF$T$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE"), "core");
        assert_eq!(
            crate_of("_ZN55_$LT$tokio..net..TcpStream$u20$as$u20$std..io..Read$GT$4read17h0123456789abcdefE"),
            "tokio"
        );
    }
}
