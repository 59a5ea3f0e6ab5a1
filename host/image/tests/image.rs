//! Sealing a program that the linker really made, reading it back, and everything that may be wrong with it.

use abi::boot::{SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE};
use abi::manifest::Manifest;
use ampoule_image::{Image, ImageError, SealError, SealInput, debug, inspect, seal};
use proptest::prelude::*;
use std::sync::OnceLock;

mod common;
use common::{SOURCE, guest, link, manifest, sealed};

fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| sealed(guest()).expect("the guest can be sealed").bytes)
}

/// `bytes` with a digest that fits them again, as someone who attacks the reader would have it.
fn with_digest(mut bytes: Vec<u8>) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let magic = abi::image::IMAGE_MAGIC.to_le_bytes();
    if let Some(at) =
        (0..bytes.len()).step_by(4096).find(|at| bytes.len() >= at + 48 && bytes[*at..].starts_with(&magic))
    {
        bytes[at + 16..at + 48].fill(0);
        let digest = Sha256::digest(&bytes);
        bytes[at + 16..at + 48].copy_from_slice(&digest);
    }
    bytes
}

#[test]
fn what_is_sealed_opens() {
    let image = Image::parse(good().to_vec()).expect("a good image opens");
    assert_eq!(image.manifest(), &manifest());
    assert_eq!(image.range_bytes(image.header().strings), b"guest\0-v\0K=V\0");
    assert!(!image.has_exokernel());
    let access: Vec<_> = image.segments().iter().map(|s| s.access).collect();
    for wanted in [SEGMENT_READ | SEGMENT_EXECUTE, SEGMENT_READ | SEGMENT_WRITE] {
        assert_eq!(access.iter().filter(|a| **a == wanted).count(), 1, "{access:?}");
    }
    // The three names' pointers, which are read-only once relocated.
    assert!(image.relocations().len() >= 3);
    for target in image.relocations() {
        let home = image.segments().iter().find(|s| (s.address..s.address + s.file_length).contains(&target));
        assert_eq!(home.map(|s| s.access & SEGMENT_EXECUTE), Some(0));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(sealed(guest()).expect("seals").bytes, good());
}

#[test]
fn both_kinds_of_relocation_tables_give_the_same_addresses() {
    let plain = link("guest-rela", SOURCE, &["-Clink-arg=-Wl,-z,nopack-relative-relocs"]);
    let image = Image::parse(sealed(&plain).expect("seals").bytes).expect("opens");
    let packed = Image::parse(good().to_vec()).expect("opens");
    assert_eq!(image.relocations().len(), packed.relocations().len());
    for target in image.relocations() {
        let word = image.range_bytes(abi::image::LinkRange { address: target, length: 8 });
        let value = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        assert!(value < image.header().span, "{value:#x} points outside the image");
    }
}

#[test]
fn system_calls_become_faults() {
    let sealed = sealed(guest()).expect("seals");
    assert_eq!(sealed.syscalls, 1);
}

#[test]
fn addresses_have_names() {
    let sealed = sealed(guest()).expect("seals");
    let file = debug::write(guest(), &sealed, None);
    let symboliser = debug::Symboliser::new(&file, Some(&sealed.digest)).expect("the debug file is good");
    let image = Image::parse(sealed.bytes.clone()).expect("opens");
    let places = symboliser.places(image.header().entry + 2);
    assert!(places.iter().any(|p| p.function.contains("_start")), "{places:?}");
    assert!(places.iter().any(|p| p.line.as_ref().is_some_and(|l| l.0.ends_with("guest.rs"))), "{places:?}");
    assert!(symboliser.places(0).is_empty());
    assert!(matches!(debug::Symboliser::new(&file, Some(&[0; 32])), Err(debug::DebugError::OtherImage)));
    assert!(matches!(debug::read(guest(), None), Err(debug::DebugError::NotADebugFile)));

    let report = inspect::inspect(&image);
    assert_eq!(report.digest.len(), 64);
    assert_eq!(report.loaders + report.information + report.program, report.file_length);
}

#[test]
fn the_symbol_file_is_an_elf_file_with_names() {
    use object::{Object as _, ObjectSymbol as _};
    let file = debug::symbol_file(guest()).expect("the guest is readable");
    let elf = object::File::parse(&*file).expect("so is its symbol file");
    assert!(elf.symbols().any(|s| s.name() == Ok("_start") && s.address() != 0));
}

#[test]
fn what_cannot_be_sealed_is_named() {
    let undefined = SOURCE.replace("loop {\n", "unsafe extern \"C\" { safe fn nowhere(); } nowhere(); loop {\n");
    let elf = link("undefined", &undefined, &["-Clink-arg=-Wl,--unresolved-symbols=ignore-all"]);
    let message = sealed(&elf).expect_err("a symbol is missing").to_string();
    assert!(message.contains("nowhere"), "{message}");

    let executable = link("wx", SOURCE, &["-Clink-arg=-Wl,--omagic"]);
    assert!(matches!(sealed(&executable), Err(SealError::WritableCode(_))));

    assert!(matches!(sealed(b"\x7fELF"), Err(SealError::Elf(_))));
    let small = Manifest { memory: 4096, ..manifest() };
    let input = SealInput { elf: guest(), manifest: &small, exokernel: None, symbols: &[], files: &[], unwind: false };
    assert!(matches!(seal(&input), Err(SealError::Memory { .. })));
    let nul = Manifest { arguments: vec!["a\0b".into()], ..manifest() };
    let input = SealInput { manifest: &nul, ..input };
    assert!(matches!(seal(&input), Err(SealError::Nul(_))));
}

/// What the fuzzer found: the sealing tool took these, and its own reader then refused the image.
#[test]
fn what_is_sealed_can_always_be_read() {
    // e_entry, and the alignment of the first segment that is loaded (gABI, "ELF Header", "Program Header").
    let changed = |at: usize, value: u64| {
        let mut bytes = guest().to_vec();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        sealed(&bytes)
    };
    let load = (64..).step_by(56).find(|at| guest()[*at..*at + 4] == [1, 0, 0, 0]).expect("a PT_LOAD");
    assert!(matches!(changed(load + 48, 4097), Err(SealError::BadSegment(_))));
    assert!(matches!(changed(24, 8), Err(SealError::Unsound(_))), "an entry in the header");
    assert!(matches!(changed(24, u64::MAX), Err(SealError::Unsound(_))), "an entry nowhere");
}

#[test]
fn damage_is_found() {
    assert!(matches!(Image::parse(Vec::new()), Err(ImageError::NotAnImage)));
    assert!(matches!(Image::parse(guest().to_vec()), Err(ImageError::NotAnImage)));
    assert!(matches!(Image::parse(good()[..good().len() - 1].to_vec()), Err(ImageError::Length { .. })));
    let mut changed = good().to_vec();
    *changed.last_mut().expect("not empty") ^= 1;
    assert!(matches!(Image::parse(changed), Err(ImageError::Digest)));
    assert!(matches!(Image::open("/nowhere/at.img"), Err(ImageError::Read { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_truncated_image_is_refused(length in 0usize..200_000) {
        let length = length % good().len();
        prop_assert!(Image::parse(good()[..length].to_vec()).is_err());
        prop_assert!(Image::parse(with_digest(good()[..length].to_vec())).is_err());
    }

    // An attacker fixes the digest. Then the image may open, but never with a promise broken.
    #[test]
    fn an_image_that_opens_keeps_its_promises(at in 0usize..0x2400, word: u64, small in 0u64..0x2_0000, pick in 0..3u8) {
        let value = match pick { 0 => word, 1 => small, _ => small.wrapping_mul(4096) };
        let mut bytes = good().to_vec();
        let at = at.min(bytes.len() - 8) & !7;
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        if let Ok(image) = Image::parse(with_digest(bytes)) {
            let mut end = 0;
            for s in image.segments() {
                prop_assert!(s.address >= end && s.address % 4096 == 0 && s.file_length <= s.memory_length);
                prop_assert_ne!(s.access & 3, 3);
                prop_assert_eq!(image.segment_bytes(s).len() as u64, s.file_length);
                end = s.address + s.memory_length;
            }
            prop_assert_eq!(end, image.header().span);
            for target in image.relocations() {
                prop_assert!(target + 8 <= end);
            }
            let _ = inspect::inspect(&image);
        }
    }

    #[test]
    fn a_damaged_program_never_panics(at in 0usize..0x4000, value: u64) {
        let mut bytes = guest().to_vec();
        let at = at.min(bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        let _ = sealed(&bytes);
        let _ = debug::symbol_file(&bytes);
    }
}
