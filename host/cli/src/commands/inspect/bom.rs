//! The bill of materials: CycloneDX 1.5 as JSON (ECMA-424, <https://cyclonedx.org/docs/1.5/json/>).
//!
//! It lists every package that the linker was given, with the bytes that got into the image as properties
//! (`ampoule:text`, `ampoule:data`); those of which nothing was left have 0. It holds no time and a serial number that follows from the
//! image's digest, so the same image has the same bill.

use std::collections::BTreeMap;

use image::contents::Contents;
use image::record::{Package, Record};
use serde::Serialize;

use super::Subject;
use crate::Failure;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom {
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata {
    tools: Tools,
    component: Component,
}

#[derive(Serialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Default, Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct License {
    expression: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    depends_on: Vec<String>,
}

/// The bill of an image.
pub(super) fn json(subject: &Subject) -> Result<String, Failure> {
    let contents = subject.contents()?;
    let Some(record) = &contents.record else {
        let path = subject.path.with_extension("debug");
        return Err(Failure::input(format!("{} has no record of the build; build again", path.display())));
    };
    let text = serde_json::to_string_pretty(&bom(subject, contents, record)).map_err(anyhow::Error::from)?;
    Ok(text + "\n")
}

fn bom(subject: &Subject, contents: &Contents, record: &Record) -> Bom {
    let manifest = subject.image.manifest();
    let references: Vec<String> = record.packages.iter().map(reference).collect();
    let (name, version) = (manifest.name.clone(), manifest.version.clone());
    let content = image::hex(subject.image.digest());
    let image = Component {
        kind: "application",
        reference: Some(format!("image:{name}@{version}")),
        name,
        version,
        // The digest of the file with its own place zero, which is how images name themselves.
        properties: vec![Property { name: "ampoule:digest", value: format!("sha256:{content}") }],
        ..Component::default()
    };
    let program: Vec<String> =
        record.packages.iter().zip(&references).filter(|(p, _)| p.is_program).map(|(_, r)| r.clone()).collect();
    let std = standard_library(&record.compiler);
    let mut dependencies = vec![Dependency { of: image.reference.clone().unwrap_or_default(), depends_on: program }];
    let std_reference = std.reference.clone().unwrap_or_default();
    for (package, of) in record.packages.iter().zip(&references) {
        let mut depends_on: Vec<String> = package.dependencies.iter().map(|index| references[*index].clone()).collect();
        depends_on.extend(package.is_program.then(|| std_reference.clone()));
        depends_on.sort();
        depends_on.dedup();
        dependencies.push(Dependency { of: of.clone(), depends_on });
    }
    dependencies.push(Dependency { of: std_reference, depends_on: Vec::new() });
    let sizes = sizes(contents);
    let mut components: Vec<Component> =
        record.packages.iter().zip(references).map(|(p, reference)| component(p, reference, &sizes)).collect();
    components.push(std);
    let tool = Component {
        kind: "application",
        name: "ampoule".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..Component::default()
    };
    Bom {
        bom_format: "CycloneDX",
        spec_version: "1.5",
        serial_number: serial_number(subject.image.digest()),
        version: 1,
        metadata: Metadata { tools: Tools { components: vec![tool] }, component: image },
        components,
        dependencies,
    }
}

/// Text and data by a package's name and version.
fn sizes(contents: &Contents) -> BTreeMap<(String, Option<String>), (u64, u64)> {
    let crates = contents.crates.iter();
    crates.map(|c| ((c.owner.name.clone(), c.owner.version.clone()), (c.sizes.text, c.sizes.data))).collect()
}

fn reference(package: &Package) -> String {
    format!("{}@{}{}", package.name, package.version, if package.source.is_some() { "" } else { "#path" })
}

fn component(
    package: &Package,
    reference: String,
    sizes: &BTreeMap<(String, Option<String>), (u64, u64)>,
) -> Component {
    let key = (package.name.clone(), Some(package.version.clone()));
    let (text, data) = sizes.get(&key).copied().unwrap_or_default();
    let is_registry = package.source.as_ref().is_some_and(|source| source.starts_with("registry+"));
    let purl = is_registry.then(|| format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B")));
    let checksum = package.checksum.clone().into_iter();
    // Old packages write `MIT/Apache-2.0`.
    let license = package.license.as_ref().map(|text| License { expression: text.replace('/', " OR ") });
    Component {
        kind: "library",
        reference: Some(reference),
        name: package.name.clone(),
        version: package.version.clone(),
        description: package.description.clone(),
        hashes: checksum.map(|content| Hash { alg: "SHA-256", content }).collect(),
        licenses: license.into_iter().collect(),
        purl,
        properties: vec![
            Property { name: "ampoule:text", value: text.to_string() },
            Property { name: "ampoule:data", value: data.to_string() },
        ],
    }
}

/// What comes with the compiler. `rustc 1.95.0 (59807616e 2026-04-14)`.
fn standard_library(compiler: &str) -> Component {
    let version = compiler.split(' ').nth(1).unwrap_or("unknown").to_owned();
    Component {
        kind: "library",
        reference: Some(format!("rust-std@{version}")),
        name: "rust-std".into(),
        description: Some(format!("Rust's standard library, of {compiler}")),
        licenses: vec![License { expression: "MIT OR Apache-2.0".into() }],
        purl: Some(format!("pkg:generic/rust-std@{version}")),
        version,
        ..Component::default()
    }
}

/// A UUID of version 8 (RFC 9562 §5.8) out of the image's digest.
fn serial_number(digest: &[u8; 32]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = image::hex(&bytes);
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
