//! Manifests: the sealed one's CBOR, and the table in a Cargo.toml that it is made from.

use abi::manifest::{Manifest, Protocol};
use image::{decode_manifest, encode_manifest};
use std::path::Path;

/// CBOR that may be a manifest. What decodes survives another round, and can be asked anything.
pub fn check(data: &[u8]) {
    let Ok(manifest) = decode_manifest(data) else { return };
    assert_eq!(decode_manifest(&encode_manifest(&manifest)).as_ref(), Ok(&manifest), "it does not survive encoding");
    ask(&manifest, data);
}

/// Text that may be a Cargo.toml with a manifest in it. What is read can be sealed.
pub fn check_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ampoule_cli::manifest::parse(Path::new("Cargo.toml"), text, "fuzz", "0.1.0") {
        Ok(manifest) => {
            check(&encode_manifest(&manifest));
            let rules = ampoule_cli::manifest::parse_files(Path::new("Cargo.toml"), text);
            rules.expect("the files of what was read").iter().for_each(|rule| {
                assert!(rule.guest.is_empty() || rule.guest.starts_with('/') && !rule.guest.ends_with('/'));
            });
        }
        Err(error) => assert!(error.to_string().starts_with("Cargo.toml:"), "an error without a place: {error}"),
    }
}

fn ask(manifest: &Manifest, data: &[u8]) {
    let Some(network) = &manifest.network else { return };
    let name = String::from_utf8_lossy(&data[..data.len().min(40)]);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for port in [0, 1, 80, u16::MAX] {
            _ = network.may_listen(protocol, port);
            for length in [0, 4, 16] {
                let address = data.get(..length).unwrap_or_default();
                _ = network.may_connect(protocol, address, port, &[&name, "www.example.org", ""]);
            }
        }
    }
    for name in [&name, "", "*", "a.b", ".example.org", "ä.example.org"] {
        _ = network.may_resolve(name);
    }
}
