//! A Cargo.lock: the packages that it holds, and what their archives hash to.

use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Locked {
    pub(super) name: String,
    pub(super) version: String,
    /// Where it comes from; a package in a folder has none.
    pub(super) source: Option<String>,
    /// SHA-256 of the archive that a registry gives.
    pub(super) checksum: Option<String>,
}

/// All entries of the file; none where it cannot be read.
pub(super) fn read(file: &Path) -> Vec<Locked> {
    parse(&fs::read_to_string(file).unwrap_or_default())
}

fn parse(text: &str) -> Vec<Locked> {
    let Ok(document) = DeTable::parse(text) else { return Vec::new() };
    let packages = document.get_ref().get("package").and_then(|packages| packages.get_ref().as_array());
    let entry = |package: &toml::Spanned<DeValue<'_>>| {
        let table = package.get_ref().as_table()?;
        let text = |key: &str| Some(table.get(key)?.get_ref().as_str()?.to_owned());
        Some(Locked {
            name: text("name")?,
            version: text("version")?,
            source: text("source"),
            checksum: text("checksum"),
        })
    };
    packages.into_iter().flat_map(|packages| packages.iter()).filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_what_stands_there() {
        let text = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n[[package]]\nname = \"b\"\n\
                    version = \"2.0.0\"\nsource = \"registry+x\"\nchecksum = \"12\"\ndependencies = [\"a\"]";
        let b = Locked { source: Some("registry+x".into()), checksum: Some("12".into()), ..named("b", "2.0.0") };
        assert_eq!(parse(text), [named("a", "1.0.0"), b]);
        assert_eq!(parse("no = lock"), []);
    }

    fn named(name: &str, version: &str) -> Locked {
        Locked { name: name.into(), version: version.into(), ..Locked::default() }
    }
}
