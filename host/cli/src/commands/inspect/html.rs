//! The image's facts as one page that needs nothing else: no script, style, font or picture from elsewhere, and a policy in
//! its head that would stop one. The tables are plain HTML; the map of sizes is drawn by the page's own script (`page.js`) for
//! whatever width there is.

use base64::Engine as _;
use image::contents::Group;
use image::contents::why::why;
use image::record::Record;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

use super::facts::{ContentsFacts, CrateFacts, Facts, ManifestFacts, SizeFacts, facts};
use super::{Subject, bom};
use crate::Failure;
use crate::size::Size;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
/// How many functions of a crate are drawn; the rest is one.
const FUNCTIONS: usize = 60;

/// What the script draws.
#[derive(Serialize)]
struct Drawn<'a> {
    name: &'a str,
    version: Option<&'a str>,
    library: &'a str,
    bytes: u64,
    data: u64,
    brings: u64,
    functions: Vec<(&'a str, u64)>,
    /// The way by which the program reaches it.
    way: Vec<String>,
}

/// The page.
pub(super) fn page(subject: &Subject) -> Result<String, Failure> {
    let facts = facts(subject);
    let contents = subject.contents.as_ref().ok();
    let record = contents.and_then(|contents| contents.record.as_ref());
    let bill = if record.is_some() { Some(bom::json(subject)?) } else { None };
    let title = format!("{} {}", facts.name, facts.version);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (title) " · ampoule image" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(&facts))
                main {
                    @match (&facts.contents, &facts.contents_missing) {
                        (Some(inside), _) => {
                            (map(&facts, inside))
                            (crates(inside))
                            (reach(inside))
                        }
                        (None, reason) => {
                            p.missing { "What lies inside is not known: " (reason.as_deref().unwrap_or_default()) }
                        }
                    }
                    (manifest(&facts.manifest))
                    (segments(&facts))
                    (materials(&facts, record, bill.as_deref()))
                }
                footer { p { "Written by " code { "ampoule inspect --html" } ". " (how_counted(facts.contents.is_some())) } }
                @if let (Some(inside), Some(contents)) = (&facts.contents, contents) {
                    script #data type="application/json" { (PreEscaped(data(&facts, inside, contents)?)) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    };
    Ok(markup.into_string())
}

fn head(facts: &Facts) -> Markup {
    let lines = facts.contents.iter().flat_map(|c| &c.crates).filter_map(|c| c.unsafe_lines);
    let unsafe_lines: u64 = lines.map(|l| l.in_image).sum();
    html! {
        header {
            p.kind { "ampoule image" }
            h1 { (facts.name) " " span.version { (facts.version) } }
            p.digest { (facts.digest) }
            dl.figures {
                (figure("file", &Size(facts.file.bytes).to_string()))
                @if let Some(inside) = &facts.contents {
                    (figure("code", &Size(inside.total.text).to_string()))
                    (figure("data", &Size(inside.total.data).to_string()))
                    @let crates = inside.crates.iter().filter(|c| c.library != Group::Other.title()).count();
                    (figure("crates", &crates.to_string()))
                    @if inside.has_record { (figure("unsafe lines", &unsafe_lines.to_string())) }
                }
                (figure("memory given", &Size(facts.manifest.memory).to_string()))
            }
        }
    }
}

fn figure(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn map(facts: &Facts, inside: &ContentsFacts) -> Markup {
    let sums = Group::ALL.map(|group| {
        let inside = inside.crates.iter().filter(|c| c.library == group.title());
        let rest = if group == Group::Other { facts.file.loaders + facts.file.information } else { 0 };
        (group.title(), inside.map(|c| c.sizes.in_file()).sum::<u64>() + rest)
    });
    html! {
        section #map aria-labelledby="map-title" {
            h2 #map-title { "What takes the space" }
            p.hint { "Each area is a crate, as large as its code and data. Choose one to see its functions, and why it is there." }
            ul.legend {
                @for (name, bytes) in sums {
                    @if bytes > 0 {
                        li { span class={ "swatch " (class(name)) } {} (name) " " span.amount { (Size(bytes)) } }
                    }
                }
            }
            nav #path aria-label="where in the map" {}
            div #treemap {}
            div #detail hidden {}
            noscript { p.hint { "The map is drawn by a script; the table below has the same numbers." } }
        }
    }
}

/// A library's name as a class of the style sheet.
fn class(library: &str) -> String {
    library.replace(' ', "-").to_lowercase()
}

fn crates(inside: &ContentsFacts) -> Markup {
    html! {
        section #crates {
            h2 { "Crates" }
            p.hint {
                "In bytes. " b { "Brings" } " is what would not be in the image but for the crate. "
                b { "Unsafe" } " counts lines inside " code { "unsafe" } ": those that code in the image was made of, of all in its sources."
            }
            table {
                thead { tr {
                    th { "crate" } th.n { "code" } th.n { "data" } th.n.wide { "zeros" } th.n.wide { "debug" } th.n.wide { "brings" } th.n { "unsafe" }
                } }
                @for library in Group::ALL.map(Group::title) {
                    @let all: Vec<&CrateFacts> = inside.crates.iter().filter(|c| c.library == library).collect();
                    @if !all.is_empty() {
                        tbody {
                            (row(library, None, &all.iter().fold(SizeFacts::default(), |sum, c| sum.plus(c.sizes)), "", "", "sum"))
                            @for entry in all {
                                @let brings = if entry.brings == 0 { String::new() } else { number(entry.brings) };
                                @let lines = entry.unsafe_lines.map_or("–".into(), |l| format!("{} of {}", number(l.in_image), number(l.in_sources)));
                                (row(&entry.name, entry.version.as_deref(), &entry.sizes, &brings, &lines, ""))
                            }
                        }
                    }
                }
                tfoot { (row("all", None, &inside.total, "", "", "sum")) }
            }
        }
    }
}

fn row(name: &str, version: Option<&str>, sizes: &SizeFacts, brings: &str, lines: &str, class: &str) -> Markup {
    html! {
        tr class=[(!class.is_empty()).then_some(class)] {
            th scope="row" { (name) @if let Some(version) = version { " " span.version { (version) } } }
            td.n { (number(sizes.text)) } td.n { (number(sizes.data)) } td.n.wide { (number(sizes.zero)) }
            td.n.wide { (number(sizes.debug)) } td.n.wide { (brings) } td.n { (lines) }
        }
    }
}

fn reach(inside: &ContentsFacts) -> Markup {
    html! {
        section #reach {
            h2 { "What it can ask for" }
            p.hint { "The image has code for these, and for nothing else. A device is there only if the manifest gives it." }
            dl.terms {
                dt { "devices" }
                dd { ul.words { @for device in inside.devices.iter().filter(|d| d.driver) {
                    li { (device.name) @if !device.given { " (not given)" } }
                } } }
                dt { "gate calls" }
                dd { ul.words { @for call in &inside.gate_calls { li { code { (call) } } } } }
                dt { "libc symbols" }
                dd { details {
                    summary { (inside.libc_symbols.len()) " symbols" }
                    ul.words { @for symbol in &inside.libc_symbols { li { code { (symbol) } } } }
                } }
            }
        }
    }
}

fn manifest(manifest: &ManifestFacts) -> Markup {
    let list = |all: &[String]| {
        html! {
            @if all.is_empty() { "nothing" } @else { ul.words { @for word in all { li { code { (word) } } } } }
        }
    };
    html! {
        section #manifest {
            h2 { "Manifest" }
            dl.terms {
                dt { "memory" } dd { (Size(manifest.memory)) }
                dt { "stack" } dd { @match manifest.stack { Some(stack) => (Size(stack)), None => "by the memory's size" } }
                dt { "arguments" } dd { (list(&manifest.arguments)) }
                dt { "environment" } dd { (list(&manifest.environment)) }
                @match (&manifest.listen, &manifest.connect) {
                    (Some(listen), Some(connect)) => {
                        dt { "listens at" } dd { (list(listen)) }
                        dt { "connects to" } dd { (list(connect)) }
                    }
                    _ => { dt { "network" } dd { "none" } }
                }
                @if !manifest.hosts.is_empty() { dt { "hosts" } dd { (list(&manifest.hosts)) } }
                @if !manifest.search.is_empty() { dt { "searches" } dd { (list(&manifest.search)) } }
            }
        }
    }
}

fn segments(facts: &Facts) -> Markup {
    html! {
        section #segments {
            h2 { "Segments" }
            p.hint {
                "Before them the file has " (Size(facts.file.loaders)) " of headers"
                @if facts.exokernel { " and exokernel" }
                ". " (number(facts.relocations as u64)) " words are relocated at the start."
            }
            table {
                thead { tr { th { "address" } th.n { "in memory" } th.n { "in file" } th { "access" } } }
                tbody { @for segment in &facts.segments {
                    tr {
                        th scope="row" { code { (format!("{:#x}", segment.address)) } }
                        td.n { (number(segment.in_memory)) } td.n { (number(segment.in_file)) } td { code { (segment.access) } }
                    }
                } }
            }
            @if !facts.files.is_empty() {
                h3 { "Files" }
                table {
                    thead { tr { th { "path" } th.n { "bytes" } } }
                    tbody { @for file in &facts.files {
                        tr {
                            th scope="row" { code { (file.path) @if file.bytes.is_none() { "/" } } }
                            td.n { @if let Some(bytes) = file.bytes { (number(bytes)) } }
                        }
                    } }
                }
            }
        }
    }
}

fn materials(facts: &Facts, record: Option<&Record>, bill: Option<&str>) -> Markup {
    let (Some(record), Some(bill)) = (record, bill) else { return html! {} };
    let encoded = base64::engine::general_purpose::STANDARD.encode(bill);
    html! {
        section #materials {
            h2 { "Bill of materials" }
            p {
                a.button #bom download={ (facts.name) ".cdx.json" } href={ "data:application/vnd.cyclonedx+json;base64," (encoded) } {
                    "Download as CycloneDX"
                }
            }
            table {
                thead { tr { th { "package" } th { "licence" } th.wide { "from" } } }
                tbody { @for package in &record.packages {
                    tr {
                        th scope="row" { (package.name) " " span.version { (package.version) } }
                        td { (package.license.as_deref().unwrap_or("–")) }
                        td.wide { (origin(package.source.as_deref())) }
                    }
                } }
            }
            p.hint { "Compiled by " (record.compiler) ", whose standard library is in the image too." }
        }
    }
}

fn origin(source: Option<&str>) -> &str {
    match source {
        None => "a folder",
        Some(source) if source.starts_with("registry+") && source.contains("crates.io-index") => "crates.io",
        Some(source) if source.starts_with("registry+") || source.starts_with("sparse+") => "a registry",
        Some(source) if source.starts_with("git+") => "git",
        Some(_) => "elsewhere",
    }
}

fn how_counted(is_known: bool) -> &'static str {
    match is_known {
        true => {
            "Code counts for the crate whose source it is, wherever it was inlined; generic code of the standard library \
             counts for the crate that uses it. Data counts for the crate that refers to it."
        }
        false => "",
    }
}

fn data(facts: &Facts, inside: &ContentsFacts, contents: &image::contents::Contents) -> Result<String, Failure> {
    let mut drawn: Vec<Drawn<'_>> = inside.crates.iter().map(|entry| drawn(entry, contents)).collect();
    // With these two the areas add up to the file.
    for (name, bytes) in [("exokernel, headers", facts.file.loaders), ("manifest, relocations", facts.file.information)]
    {
        let library = Group::Other.title();
        let functions = vec![(name, bytes)];
        drawn.push(Drawn { name, version: None, library, bytes, data: 0, brings: 0, functions, way: Vec::new() });
    }
    let text = serde_json::to_string(&drawn).map_err(anyhow::Error::from)?;
    // No name in it may end the script, whatever it is.
    Ok(text.replace('<', "\\u003c"))
}

fn drawn<'a>(entry: &'a CrateFacts, contents: &image::contents::Contents) -> Drawn<'a> {
    let mut functions: Vec<(&str, u64)> =
        entry.functions.iter().take(FUNCTIONS).map(|f| (f.name.as_str(), f.text)).collect();
    let rest: u64 = entry.functions.iter().skip(FUNCTIONS).map(|f| f.text).sum();
    functions.extend((rest > 0).then_some(("smaller functions", rest)));
    functions.extend((entry.sizes.data > 0).then_some(("data", entry.sizes.data)));
    let asked = match &entry.version {
        Some(version) => format!("{}@{version}", entry.name),
        None => entry.name.clone(),
    };
    let is_crate = entry.library != Group::Other.title();
    let answer = is_crate.then(|| why(contents, &asked).ok()).flatten();
    Drawn {
        name: &entry.name,
        version: entry.version.as_deref(),
        library: entry.library,
        bytes: entry.sizes.in_file(),
        data: entry.sizes.data,
        brings: entry.brings,
        functions,
        way: answer.map_or_else(Vec::new, |why| why.steps.into_iter().map(|step| step.name).collect()),
    }
}

/// A number with a thin space between thousands.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
