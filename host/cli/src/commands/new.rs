//! `ampoule new`: a package that prints a line, with its manifest and a profile that makes small images.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::Failure;
use crate::arguments::New;

/// Makes the package.
pub(super) fn perform(arguments: &New) -> Result<u8, Failure> {
    let folder = &arguments.path;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_package_name(name) {
        return Err(Failure::input(format!(
            "`{name}` is no package name: letters, digits, `-` and `_`, with a letter first"
        )));
    }
    if folder.exists() {
        return Err(Failure::input(format!("{} is already there", folder.display())));
    }
    fs::create_dir_all(folder.join("src")).with_context(|| format!("cannot make {}", folder.display()))?;
    write(folder, "Cargo.toml", &CARGO_TOML.replace("NAME", name))?;
    write(folder, "src/main.rs", MAIN)?;
    write(folder, ".gitignore", "target/\n")?;
    println!("made {name}; try: ampoule run {}", folder.display());
    Ok(0)
}

fn is_package_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = folder.join(name);
    Ok(fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?)
}

const CARGO_TOML: &str = r#"[package]
name = "NAME"
version = "0.1.0"
edition = "2024"

[dependencies]

# The machine. Sealed into the image when it is built.
[package.metadata.ampoule]
memory = "16M"
# args = ["--verbose"]
# env = { LANG = "C" }
# net.listen = ["tcp/8080"]
# net.connect = ["tcp/example.org:443"]

# What makes images small.
[profile.release]
opt-level = 3
lto = "fat"
codegen-units = 1
panic = "abort"
"#;

const MAIN: &str = r#"fn main() {
    println!("Hello from a sealed machine!");
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_manifest_is_one() {
        crate::manifest::parse(Path::new("Cargo.toml"), CARGO_TOML, "x", "0.1.0").expect("reads");
        let all = CARGO_TOML.replace("\n# ", "\n").replace("\nThe machine", "\n# The").replace("\nWhat", "\n# What");
        let manifest = crate::manifest::parse(Path::new("Cargo.toml"), &all, "x", "0.1.0").expect("reads");
        assert!(manifest.network.is_some());
    }
}
