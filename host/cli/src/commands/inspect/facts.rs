//! Everything that is known of an image, as it goes into JSON and into the page. docs/inspect.md describes it; whoever
//! changes it changes that page, and [`SCHEMA`] where a reader could stumble.

use abi::boot::{SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE};
use abi::manifest::{Connect, Host, Manifest, Protocol};
use image::contents::{Contents, Crate, Device, Sizes};
use image::inspect::{Report, inspect};
use serde::Serialize;

use super::Subject;
use crate::Failure;

/// The version of the JSON.
pub(super) const SCHEMA: &str = "ampoule-inspect/1";

/// All facts. Lengths in bytes.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) schema: &'static str,
    pub(super) name: String,
    pub(super) version: String,
    /// Of the image, `sha256:…`.
    pub(super) digest: String,
    pub(super) file: File,
    /// Address space from the first to the last byte.
    pub(super) span: u64,
    pub(super) exokernel: bool,
    /// Words that are relocated at the start.
    pub(super) relocations: usize,
    pub(super) manifest: ManifestFacts,
    pub(super) segments: Vec<Segment>,
    /// Sealed files and folders, by path.
    pub(super) files: Vec<FileFacts>,
    /// `null`, and `contents_missing` says why.
    pub(super) contents: Option<ContentsFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) contents_missing: Option<String>,
}

/// A sealed file or folder.
#[derive(Debug, Serialize)]
pub(super) struct FileFacts {
    /// Its path in the machine; bytes that are no printable ASCII are escaped.
    pub(super) path: String,
    /// `null`: a folder.
    pub(super) bytes: Option<u64>,
}

/// What the file is made of.
#[derive(Debug, Serialize)]
pub(super) struct File {
    pub(super) bytes: u64,
    /// Headers and exokernel.
    pub(super) loaders: u64,
    /// Image header, manifest, strings, relocations, symbols.
    pub(super) information: u64,
    /// The program and its library OS.
    pub(super) program: u64,
}

/// The manifest.
#[derive(Debug, Serialize)]
pub(super) struct ManifestFacts {
    pub(super) memory: u64,
    /// `null`: chosen by the memory's size.
    pub(super) stack: Option<u64>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<String>,
    /// Rules such as `tcp/8080`; `null` without a network.
    pub(super) listen: Option<Vec<String>>,
    /// Rules such as `tcp/db.example.org:5432`; `null` without a network.
    pub(super) connect: Option<Vec<String>>,
    /// `NAME ADDRESS…`, known without asking anybody.
    pub(super) hosts: Vec<String>,
    /// Domains that are tried after a name.
    pub(super) search: Vec<String>,
    /// Can `run --trace` show its calls?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) traced: bool,
}

/// A segment.
#[derive(Debug, Serialize)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) in_memory: u64,
    pub(super) in_file: u64,
    /// `r--`, `rw-` or `r-x`.
    pub(super) access: String,
}

/// What lies inside.
#[derive(Debug, Serialize)]
pub(super) struct ContentsFacts {
    /// Largest first.
    pub(super) crates: Vec<CrateFacts>,
    pub(super) total: SizeFacts,
    pub(super) devices: Vec<DeviceFacts>,
    pub(super) gate_calls: Vec<String>,
    pub(super) libc_symbols: Vec<String>,
    /// Was there a record of the build, with packages and `unsafe` lines?
    pub(super) has_record: bool,
    pub(super) compiler: Option<String>,
}

/// A crate.
#[derive(Debug, Serialize)]
pub(super) struct CrateFacts {
    pub(super) name: String,
    pub(super) version: Option<String>,
    /// `program`, `crates`, `standard library`, `library OS` or `no crate`.
    pub(super) library: &'static str,
    #[serde(flatten)]
    pub(super) sizes: SizeFacts,
    /// What would not be in the image but for it.
    pub(super) brings: u64,
    /// `null`: no sources.
    pub(super) unsafe_lines: Option<UnsafeFacts>,
    /// Largest first.
    pub(super) functions: Vec<FunctionFacts>,
}

/// Lines inside `unsafe`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct UnsafeFacts {
    pub(super) in_image: u64,
    pub(super) in_sources: u64,
}

/// Sizes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct SizeFacts {
    pub(super) text: u64,
    pub(super) data: u64,
    pub(super) zero: u64,
    pub(super) debug: u64,
}

impl SizeFacts {
    /// What it takes in the image's file.
    pub(super) fn in_file(&self) -> u64 {
        self.text + self.data
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        SizeFacts {
            text: self.text + other.text,
            data: self.data + other.data,
            zero: self.zero + other.zero,
            debug: self.debug + other.debug,
        }
    }
}

/// A function.
#[derive(Debug, Serialize)]
pub(super) struct FunctionFacts {
    pub(super) name: String,
    pub(super) text: u64,
}

/// A device.
#[derive(Debug, Serialize)]
pub(super) struct DeviceFacts {
    pub(super) name: &'static str,
    /// Is its driver in the image?
    pub(super) driver: bool,
    /// Does a machine of this manifest have one, where its host has?
    pub(super) given: bool,
}

/// All facts.
pub(super) fn facts(subject: &Subject) -> Facts {
    let report = inspect(&subject.image);
    let manifest = report.manifest;
    Facts {
        schema: SCHEMA,
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: format!("sha256:{}", report.digest),
        file: file(&report),
        span: report.span,
        exokernel: report.exokernel,
        relocations: report.relocations,
        manifest: of_manifest(manifest),
        segments: report.segments.iter().map(segment).collect(),
        files: report.files.iter().map(sealed_file).collect(),
        contents: subject.contents.as_ref().ok().map(|contents| of_contents(contents, manifest)),
        contents_missing: subject.contents.as_ref().err().cloned(),
    }
}

/// The facts as JSON.
pub(super) fn json(subject: &Subject) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&facts(subject)).map_err(anyhow::Error::from)?;
    Ok(text + "\n")
}

fn file(report: &Report<'_>) -> File {
    let (bytes, loaders) = (report.file_length, report.loaders);
    File { bytes, loaders, information: report.information, program: report.program }
}

fn sealed_file(file: &image::files::Listed) -> FileFacts {
    FileFacts { path: file.path.escape_ascii().to_string(), bytes: file.length }
}

fn segment(segment: &abi::image::ImageSegment) -> Segment {
    let bit = |bit, letter| if segment.access & bit != 0 { letter } else { '-' };
    Segment {
        address: segment.address,
        in_memory: segment.memory_length,
        in_file: segment.file_length,
        access: [bit(SEGMENT_READ, 'r'), bit(SEGMENT_WRITE, 'w'), bit(SEGMENT_EXECUTE, 'x')].iter().collect(),
    }
}

fn of_contents(contents: &Contents, manifest: &Manifest) -> ContentsFacts {
    let device = |&(device, _): &(Device, &str)| DeviceFacts {
        name: device.name(),
        driver: contents.reach.devices.contains(&device),
        given: manifest.network.is_some() || matches!(device, Device::Console | Device::Entropy),
    };
    ContentsFacts {
        crates: contents.crates.iter().map(of_crate).collect(),
        total: sizes(&contents.total),
        devices: Device::ALL.iter().map(device).collect(),
        gate_calls: contents.reach.gate.iter().map(|call| (*call).to_owned()).collect(),
        libc_symbols: contents.reach.libc.iter().cloned().collect(),
        has_record: contents.record.is_some(),
        compiler: contents.record.as_ref().map(|record| record.compiler.clone()),
    }
}

fn of_crate(entry: &Crate) -> CrateFacts {
    let lines = entry.unsafe_lines.map(|l| UnsafeFacts { in_image: l.in_image, in_sources: l.in_sources });
    CrateFacts {
        name: entry.owner.name.clone(),
        version: entry.owner.version.clone(),
        library: entry.owner.group.title(),
        sizes: sizes(&entry.sizes),
        brings: entry.brings,
        unsafe_lines: lines,
        functions: entry.functions.iter().map(|f| FunctionFacts { name: f.name.clone(), text: f.text }).collect(),
    }
}

fn sizes(sizes: &Sizes) -> SizeFacts {
    SizeFacts { text: sizes.text, data: sizes.data, zero: sizes.zero, debug: sizes.debug }
}

fn of_manifest(manifest: &Manifest) -> ManifestFacts {
    let (network, names) = (manifest.network.as_ref(), manifest.names.as_ref());
    ManifestFacts {
        memory: manifest.memory,
        stack: (manifest.stack != 0).then_some(manifest.stack),
        arguments: manifest.arguments.clone(),
        environment: manifest.environment.clone(),
        listen: network.map(|network| {
            let listen = network.listen.iter();
            listen.map(|l| format!("{}/{}", protocol(l.protocol), ports(l.first_port, l.last_port))).collect()
        }),
        connect: network.map(|network| network.connect.iter().map(peer).collect()),
        hosts: names.map_or_else(Vec::new, |names| names.hosts.iter().map(host).collect()),
        search: names.map_or_else(Vec::new, |names| names.search.clone()),
        traced: manifest.is_traced(),
    }
}

fn host(known: &abi::manifest::Known) -> String {
    let addresses: Vec<String> = known.addresses().map(|address| address.to_string()).collect();
    format!("{} {}", known.name, addresses.join(" "))
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
