//! Runs a guest that is linked but not sealed: `cargo run -p ampoule-monitor --example raw -- GUEST_ELF [args]`.
//!
//! It describes the linker's ELF file by an image header of its own making. `RAW_MEMORY` is the RAM in MiB.

use abi::boot::{SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE};
use abi::image::{IMAGE_MAGIC, IMAGE_VERSION, ImageHeader, ImageSegment, LinkRange};
use abi::manifest::{Connect, Host, Listen, Manifest, Network, Protocol};
use ampoule_monitor::{Options, Program};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("usage: raw GUEST_ELF [args]");
    let bytes = std::fs::read(&path).expect("the guest can be read");
    let header = describe(&bytes);
    let both = [Protocol::Tcp, Protocol::Udp];
    let network = Network {
        listen: both.map(|protocol| Listen { protocol, first_port: 0, last_port: 65535 }).to_vec(),
        connect: both.map(|protocol| Connect { protocol, host: Host::Any, first_port: 0, last_port: 65535 }).to_vec(),
    };
    let manifest = Manifest { name: path, network: Some(network), ..Manifest::default() };
    let all = std::iter::once(manifest.name.clone()).chain(arguments).collect();
    let options = Options { arguments: Some(all), notify: Some(|n| eprintln!("{n}")), ..Options::default() };
    match ampoule_monitor::run(&Program { header: &header, bytes: &bytes, manifest: &manifest }, &options) {
        Ok(outcome) => std::process::exit(outcome.status.into()),
        Err(error) => panic!("{error}"),
    }
}

fn describe(elf: &[u8]) -> ImageHeader {
    let word = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().expect("8 bytes"));
    let half = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().expect("4 bytes"));
    let (table, count) = (word(32) as usize, usize::from(elf[56]));
    let headers: Vec<[u64; 7]> = (0..count)
        .map(|i| table + 56 * i)
        .map(|p| {
            let [kind, flags] = [half(p), half(p + 4)].map(u64::from);
            [kind, flags, word(p + 8), word(p + 16), word(p + 32), word(p + 40), 0]
        })
        .collect();
    let relro = headers.iter().find(|h| h[0] == 0x6474_e552).map_or(0, |h| h[3] + h[5]);
    let mut segments = Vec::new();
    for [_, flags, offset, address, file, memory, _] in headers.iter().filter(|h| h[0] == 1).copied() {
        let access = [(4, SEGMENT_READ), (2, SEGMENT_WRITE), (1, SEGMENT_EXECUTE)];
        let access = access.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, bit)| bit).sum();
        let head = address % 4096;
        let (start, end) = (address - head, (address + memory).next_multiple_of(4096));
        let whole = ImageSegment {
            address: start,
            memory_length: end - start,
            file_offset: offset - head,
            file_length: file + head,
            access,
        };
        if access & SEGMENT_WRITE != 0 && (start + 1..end).contains(&relro) {
            let cut = relro.next_multiple_of(4096) - start;
            let first = cut.min(whole.file_length);
            segments.push(ImageSegment { memory_length: cut, file_length: first, access: SEGMENT_READ, ..whole });
            segments.push(ImageSegment {
                address: start + cut,
                memory_length: whole.memory_length - cut,
                file_offset: whole.file_offset + first,
                file_length: whole.file_length - first,
                access,
            });
            segments.retain(|s| s.memory_length > 0);
        } else {
            let access =
                if access & SEGMENT_WRITE != 0 && end == relro.next_multiple_of(4096) { SEGMENT_READ } else { access };
            segments.push(ImageSegment { access, ..whole });
        }
    }
    let dynamic = headers.iter().find(|h| h[0] == 2).map(|h| (h[2] as usize, h[4] as usize));
    let mut relocations = LinkRange::default();
    if let Some((at, length)) = dynamic {
        for entry in (at..at + length).step_by(16) {
            match word(entry) {
                36 => relocations.address = word(entry + 8),
                35 => relocations.length = word(entry + 8),
                7 => eprintln!("raw: the guest has RELA relocations; link it with -z pack-relative-relocs"),
                _ => {}
            }
        }
    }
    let span = segments.iter().map(|s| s.address + s.memory_length).max().unwrap_or(0);
    let memory = std::env::var("RAW_MEMORY").ok().and_then(|m| m.parse::<u64>().ok()).unwrap_or(64) << 20;
    let mut header = ImageHeader {
        magic: IMAGE_MAGIC,
        version: IMAGE_VERSION,
        digest: [0; 32],
        file_length: elf.len() as u64,
        entry: word(24),
        span,
        segments: Default::default(),
        segment_count: segments.len() as u64,
        relocations,
        manifest: LinkRange::default(),
        strings: LinkRange::default(),
        argument_count: 0,
        environment_count: 0,
        symbols: LinkRange::default(),
        memory,
        stack: 0,
    };
    header.segments[..segments.len()].copy_from_slice(&segments);
    header
}
