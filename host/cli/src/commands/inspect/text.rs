//! The image's facts as text.

use std::fmt::Write;

use image::contents::Group;

use super::Subject;
use super::facts::{ContentsFacts, CrateFacts, Facts, ManifestFacts, SizeFacts, facts};
use crate::size::Size;

/// Everything that a person wants to see at first.
pub(super) fn text(subject: &Subject) -> String {
    let facts = facts(subject);
    let mut text = String::new();
    head(&mut text, &facts);
    manifest(&mut text, &facts.manifest);
    segments(&mut text, &facts);
    if let Some(contents) = &facts.contents {
        reach(&mut text, contents);
        crates(&mut text, contents);
    }
    text
}

fn head(text: &mut String, facts: &Facts) {
    let file = &facts.file;
    _ = writeln!(text, "{} {}", facts.name, facts.version);
    _ = writeln!(text, "digest    {}", facts.digest);
    _ = writeln!(text, "file      {} ({} in memory)", Size(file.bytes), Size(facts.span));
    let exokernel = match facts.exokernel {
        true => format!("inside: boots by PVH ({} with the headers)", Size(file.loaders)),
        false => "none: runs only under ampoule".into(),
    };
    _ = writeln!(text, "exokernel {exokernel}");
}

fn manifest(text: &mut String, manifest: &ManifestFacts) {
    let stack = manifest.stack.map_or_else(|| "by the memory's size".to_owned(), |stack| Size(stack).to_string());
    _ = writeln!(text, "\nManifest");
    _ = writeln!(text, "  memory  {}", Size(manifest.memory));
    _ = writeln!(text, "  stack   {stack}");
    _ = writeln!(text, "  args    {:?}", manifest.arguments);
    _ = writeln!(text, "  env     {:?}", manifest.environment);
    match (&manifest.listen, &manifest.connect) {
        (Some(listen), Some(connect)) => {
            let or_nothing = |all: &[String]| if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
            _ = writeln!(text, "  listen  {}", or_nothing(listen));
            _ = writeln!(text, "  connect {}", or_nothing(connect));
        }
        _ => _ = writeln!(text, "  network none"),
    }
    for host in &manifest.hosts {
        _ = writeln!(text, "  host    {host}");
    }
    if !manifest.search.is_empty() {
        _ = writeln!(text, "  search  {}", manifest.search.join(" "));
    }
    if manifest.traced {
        _ = writeln!(text, "  traced  its calls can be shown (run --trace)");
    }
}

fn segments(text: &mut String, facts: &Facts) {
    _ = writeln!(text, "\nSegments\n  address     in memory   in file     access");
    for segment in &facts.segments {
        let (memory, file) = (Size(segment.in_memory).to_string(), Size(segment.in_file).to_string());
        _ = writeln!(text, "  {:#010x}  {memory:10}  {file:10}  {}", segment.address, segment.access);
    }
    _ = writeln!(text, "  {} words are relocated at the start", facts.relocations);
    if !facts.files.is_empty() {
        _ = writeln!(text, "\nFiles");
    }
    for file in &facts.files {
        let (size, end) = file.bytes.map_or_else(|| (String::new(), "/"), |bytes| (Size(bytes).to_string(), ""));
        _ = writeln!(text, "  {size:>10}  {}{end}", file.path);
    }
}

fn reach(text: &mut String, contents: &ContentsFacts) {
    _ = writeln!(text, "\nWithin its reach");
    let devices: Vec<String> = contents
        .devices
        .iter()
        .filter(|device| device.driver)
        .map(|device| if device.given { device.name.into() } else { format!("{} (not given)", device.name) })
        .collect();
    list(text, "devices", &devices);
    list(text, "gate", &contents.gate_calls);
    list(text, "libc", &contents.libc_symbols);
}

/// A list, in lines of about a hundred characters.
fn list(text: &mut String, name: &str, all: &[String]) {
    let mut line = format!("  {name:<8}");
    for (index, word) in all.iter().enumerate() {
        if line.len() + word.len() > 100 {
            _ = writeln!(text, "{}", line.trim_end());
            line = " ".repeat(10);
        }
        line.push_str(word);
        line.push_str(if index + 1 < all.len() { ", " } else { "" });
    }
    _ = writeln!(text, "{line}{}", if all.is_empty() { "nothing" } else { "" });
}

fn crates(text: &mut String, contents: &ContentsFacts) {
    _ = writeln!(text, "\nCrates, in bytes; `unsafe` in lines, of all in their sources\n");
    let names = ["text", "data", "zeros", "debug", "brings", "unsafe"];
    let [a, b, c, d, e, f] = names;
    _ = writeln!(text, "  {a:>9} {b:>9} {c:>9} {d:>9} {e:>9} {f:>11}");
    for group in Group::ALL.map(Group::title) {
        let inside: Vec<&CrateFacts> = contents.crates.iter().filter(|c| c.library == group).collect();
        if inside.is_empty() {
            continue;
        }
        let sum = inside.iter().fold(SizeFacts::default(), |sum, c| sum.plus(c.sizes));
        row(text, &sum, "", "", &group.to_uppercase());
        for entry in inside {
            let lines = entry.unsafe_lines.map_or("-".into(), |l| format!("{}/{}", l.in_image, l.in_sources));
            let brings = if entry.brings == 0 { String::new() } else { entry.brings.to_string() };
            let version = entry.version.as_deref().map_or(String::new(), |version| format!(" {version}"));
            row(text, &entry.sizes, &brings, &lines, &format!("  {}{version}", entry.name));
        }
    }
    row(text, &contents.total, "", "", "ALL");
    if !contents.has_record {
        _ = writeln!(text, "  no record of the build in the debug file: no `unsafe` lines, no bill of materials");
    }
}

fn row(text: &mut String, sizes: &SizeFacts, brings: &str, lines: &str, name: &str) {
    let SizeFacts { text: code, data, zero, debug } = sizes;
    _ = writeln!(text, "  {code:>9} {data:>9} {zero:>9} {debug:>9} {brings:>9} {lines:>11}  {name}");
}
