//! What is in an image: checked against the linker's own knowledge, and on files that are damaged.

mod common;

use abi::image::ImageHeader;
use ampoule_image::contents::graph::How;
use ampoule_image::contents::why::{WhyError, why};
use ampoule_image::contents::{Contents, ContentsError};
use ampoule_image::debug::DebugError;
use ampoule_image::record::{Package, Record, UnsafeFile};
use ampoule_image::{Image, debug};
use common::{SOURCE, guest, link, sealed};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// An image and its debug file.
fn files(elf: &[u8], record: Option<&Record>) -> (Image, Vec<u8>) {
    let sealed = sealed(elf).expect("the guest can be sealed");
    let debug = debug::write(elf, &sealed, record);
    (Image::parse(sealed.bytes).expect("opens"), debug)
}

fn contents() -> Contents {
    let (image, debug) = files(guest(), None);
    Contents::read(&image, &debug).expect("the debug file is good")
}

/// The linker knows every reference; the code says the same.
#[test]
fn the_graph_is_the_linker_s() {
    // Many functions and tables: a part of the standard library comes with formatting.
    let source = SOURCE
        .replace("static mut COUNT", "use core::fmt::Write as _;\nstatic mut COUNT")
        .replace("NAMES[n % 3].len()", "{ struct W(usize); impl core::fmt::Write for W { fn write_str(&mut self, s: &str) -> core::fmt::Result { self.0 += s.len(); Ok(()) } } let mut w = W(0); _ = write!(w, \"{:?} {:#x} {}\", NAMES, n, n as f64); w.0 }")
        + "#[unsafe(no_mangle)] pub unsafe extern \"C\" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 { for i in 0..n { unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) } } to }\n\
           #[unsafe(no_mangle)] pub unsafe extern \"C\" fn memset(to: *mut u8, c: i32, n: usize) -> *mut u8 { for i in 0..n { unsafe { to.add(i).write_volatile(c as u8) } } to }\n\
           #[unsafe(no_mangle)] pub extern \"C\" fn _Unwind_Resume() {}\n";
    let elf = link("guest-relocations", &source, &["-Clink-arg=-Wl,--emit-relocs", "-Clink-arg=-Wl,--gc-sections"]);
    let (image, debug) = files(&elf, None);
    let contents = Contents::read(&image, &debug).expect("the debug file is good");
    let graph = &contents.graph;
    let at =
        |address: u64| graph.nodes.iter().position(|n| n.is_function && address.wrapping_sub(n.address) < n.length);

    let parsed = object::File::parse(&*elf).expect("the linker made it");
    let mut wanted = BTreeSet::new();
    let text = parsed.section_by_name(".text").expect("there is code");
    for (place, relocation) in text.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else { continue };
        let symbol = parsed.symbol_by_index(index).expect("it is listed");
        // To the first byte after the operand, from where the operand counts.
        let target = symbol.address().wrapping_add_signed(relocation.addend() + 4);
        if let (Some(from), Some(to)) = (at(place), at(target))
            && from != to
            && !is_table(&relocation)
        {
            wanted.insert((from, to));
        }
    }
    let through_table = |edge: &ampoule_image::contents::graph::Edge| !graph.nodes[edge.to].is_function;
    let mut found = BTreeSet::new();
    for (from, edges) in graph.edges.iter().enumerate().filter(|(from, _)| graph.nodes[*from].is_function) {
        found.extend(edges.iter().filter(|edge| !through_table(edge)).map(|edge| (from, edge.to)));
    }
    let name = |pair: &&(usize, usize)| format!("{:?} -> {:?}", graph.nodes[pair.0].names, graph.nodes[pair.1].names);
    assert!(wanted.len() > 10, "too few to tell: {}", wanted.len());
    let missed: Vec<String> = wanted.difference(&found).map(|p| name(&p)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let invented: Vec<String> = found.difference(&wanted).map(|p| name(&p)).collect();
    assert!(invented.is_empty(), "{invented:#?}");
}

/// A reference through the global offset table is one to the table.
fn is_table(relocation: &object::Relocation) -> bool {
    matches!(relocation.flags(), object::RelocationFlags::Elf { r_type, .. } if [9, 41, 42].contains(&r_type.0))
}

#[test]
fn every_byte_counts_for_somebody() {
    let contents = contents();
    let parsed = object::File::parse(guest()).expect("the linker made it");
    let size = |name: &str| parsed.section_by_name(name).map_or(0, |s| s.size());
    assert_eq!(contents.total.text, size(".text"));
    assert!(contents.total.data >= size(".data") + size(".data.rel.ro") + size(".rodata"));
    let sum: u64 = contents.crates.iter().map(|c| c.sizes.text).sum();
    assert_eq!(sum, contents.total.text);
    for entry in &contents.crates {
        let functions: u64 = entry.functions.iter().map(|f| f.text).sum();
        assert!(functions <= entry.sizes.text, "{}", entry.owner);
    }
}

#[test]
fn everything_has_its_reason() {
    let contents = contents();
    let answer = why(&contents, "named_function").expect("it is called");
    let names: Vec<&str> = answer.steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["_start", "named_function"]);
    assert_eq!(answer.steps[1].how, Some(How::Calls));
    assert!(answer.brings >= answer.steps[1].bytes);
    let (file, line) = answer.steps[1].line.clone().expect("there are lines");
    assert!(file.ends_with("guest.rs") && line > 0, "{file}:{line}");
    match why(&contents, "named_funktion") {
        Err(WhyError::Unknown { near, .. }) => assert_eq!(near, ["`named_function`"]),
        other => panic!("{other:?}"),
    }
    assert!(why(&contents, "").is_err());
}

#[test]
fn a_record_survives_the_round_trip() {
    let unsafe_code = Some(vec![UnsafeFile { path: "src/lib.rs".into(), lines: vec![(3, 5), (9, 9)] }]);
    let package = Package {
        name: "a".into(),
        version: "1.0.0".into(),
        folder: "/crates/a-1.0.0".into(),
        unsafe_code,
        ..Default::default()
    };
    let record = Record { compiler: "rustc 1.95.0".into(), packages: vec![package], libc_symbols: vec!["read".into()] };
    let (image, file) = files(guest(), Some(&record));
    assert_eq!(debug::record(&file).expect("it decodes"), Some(record));
    assert!(debug::Symboliser::new(&file, Some(image.digest())).is_ok());
    assert_eq!(debug::record(&files(guest(), None).1).expect("it is none"), None);
    let outside =
        Record { packages: vec![Package { dependencies: vec![1], ..Default::default() }], ..Default::default() };
    assert!(matches!(debug::record(&files(guest(), Some(&outside)).1), Err(DebugError::Record(_))));
}

#[test]
fn another_image_s_debug_file_is_refused() {
    let (_, debug) = files(guest(), None);
    let other = link("guest-other", &SOURCE.replace("three", "four"), &[]);
    let (image, _) = files(&other, None);
    assert!(matches!(Contents::read(&image, &debug), Err(ContentsError::Debug(DebugError::OtherImage))));
    assert!(matches!(Contents::read(&image, b"short"), Err(ContentsError::Debug(DebugError::NotADebugFile))));
    assert_eq!(image.range_bytes(image.header().symbols).len() as u64, {
        let h: &ImageHeader = image.header();
        h.symbols.length
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_damaged_debug_file_never_panics(place: u32, value: u64, width in 1usize..9, pick in 0..3u8) {
        static FILES: OnceLock<(Image, Vec<u8>)> = OnceLock::new();
        let (image, debug) = FILES.get_or_init(|| files(guest(), Some(&Record::default())));
        let mut debug = debug.clone();
        let at = place as usize % (debug.len() - 8);
        let value = match pick { 0 => value, 1 => u64::MAX, _ => value & 0xff };
        debug[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        if let Ok(contents) = Contents::read(image, &debug) {
            for asked in ["named_function", "core", "nothing::of::this"] {
                let _ = why(&contents, asked);
            }
        }
    }
}
