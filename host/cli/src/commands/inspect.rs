//! `ampoule inspect`: what is in an image and what it may do.

use std::fmt::Write;

use abi::boot::{SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE};
use abi::manifest::{Connect, Host, Manifest, Protocol};
use anyhow::Context;
use image::inspect::{Report, inspect};

use crate::Failure;
use crate::arguments::Inspect;
use crate::size::Size;

/// Shows it.
pub(super) fn perform(arguments: &Inspect) -> Result<u8, Failure> {
    let path = &arguments.image;
    let image = super::target::open(path)?;
    let debug_path = path.with_extension("debug");
    let debug = std::fs::read(&debug_path).ok();
    let report = match inspect(&image, debug.as_deref()) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("warning: {}: {error}", debug_path.display());
            inspect(&image, None).context("the image cannot be described")?
        }
    };
    print!("{}", text(&report));
    Ok(0)
}

fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    let manifest = report.manifest;
    _ = writeln!(text, "{} {}", manifest.name, manifest.version);
    _ = writeln!(text, "digest    sha256:{}", report.digest);
    _ = writeln!(text, "file      {} ({} in memory)", Size(report.file_length), Size(report.span));
    let exokernel = if report.exokernel { "inside: boots by PVH" } else { "none: runs only under ampoule" };
    _ = writeln!(text, "exokernel {exokernel}");
    _ = writeln!(text, "\nManifest\n{}", manifest_text(manifest));
    _ = writeln!(text, "Segments\n  address     in memory   in file     access");
    for segment in report.segments {
        let bit = |bit, letter| if segment.access & bit != 0 { letter } else { '-' };
        let access: String =
            [bit(SEGMENT_READ, 'r'), bit(SEGMENT_WRITE, 'w'), bit(SEGMENT_EXECUTE, 'x')].iter().collect();
        let (memory, file) = (Size(segment.memory_length).to_string(), Size(segment.file_length).to_string());
        _ = writeln!(text, "  {:#010x}  {memory:10}  {file:10}  {access}", segment.address);
    }
    _ = writeln!(text, "  {} words are relocated at the start", report.relocations);
    if !report.files.is_empty() {
        _ = writeln!(text, "\nFiles");
        for file in &report.files {
            let path = file.path.escape_ascii();
            match file.length {
                Some(length) => _ = writeln!(text, "  {:>10}  {path}", Size(length).to_string()),
                None => _ = writeln!(text, "  {:>10}  {path}/", ""),
            }
        }
    }
    if !report.crates.is_empty() {
        _ = writeln!(text, "\nLibraries, by the code and data they bring");
        for (name, bytes) in &report.crates {
            _ = writeln!(text, "  {:>10}  {name}", Size(*bytes).to_string());
        }
    }
    text
}

fn manifest_text(manifest: &Manifest) -> String {
    let mut text = String::new();
    let stack = if manifest.stack == 0 { "by the memory's size".to_owned() } else { Size(manifest.stack).to_string() };
    _ = writeln!(text, "  memory  {}", Size(manifest.memory));
    _ = writeln!(text, "  stack   {stack}");
    _ = writeln!(text, "  args    {:?}", manifest.arguments);
    _ = writeln!(text, "  env     {:?}", manifest.environment);
    match &manifest.network {
        None => _ = writeln!(text, "  network none"),
        Some(network) => {
            let listen: Vec<String> = network
                .listen
                .iter()
                .map(|l| format!("{}/{}", protocol(l.protocol), ports(l.first_port, l.last_port)))
                .collect();
            let connect: Vec<String> = network.connect.iter().map(peer).collect();
            let or_nothing = |all: Vec<String>| if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
            _ = writeln!(text, "  listen  {}", or_nothing(listen));
            _ = writeln!(text, "  connect {}", or_nothing(connect));
        }
    }
    if let Some(names) = &manifest.names {
        for known in &names.hosts {
            let addresses: Vec<String> = known.addresses().map(|address| address.to_string()).collect();
            _ = writeln!(text, "  host    {} {}", known.name, addresses.join(" "));
        }
        if !names.search.is_empty() {
            _ = writeln!(text, "  search  {}", names.search.join(" "));
        }
    }
    text
}

fn peer(rule: &Connect) -> String {
    let host = match &rule.host {
        Host::Any => "*".to_owned(),
        Host::Name(name) => name.clone(),
        Host::Prefix(address, bits) => match (<[u8; 4]>::try_from(&address[..]), <[u8; 16]>::try_from(&address[..])) {
            (Ok(v4), _) => format!("{}/{bits}", std::net::Ipv4Addr::from(v4)),
            (_, Ok(v6)) => format!("[{}]/{bits}", std::net::Ipv6Addr::from(v6)),
            _ => "(no address)".to_owned(),
        },
    };
    format!("{}/{host}:{}", protocol(rule.protocol), ports(rule.first_port, rule.last_port))
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn ports(first: u16, last: u16) -> String {
    match (first, last) {
        (1, u16::MAX) => "*".to_owned(),
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}
