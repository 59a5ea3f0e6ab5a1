//! A crate's sources as crates.io gives them: a throwaway package that depends on it has cargo fetch and check them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cargo_metadata::MetadataCommand;

use super::list::Subject;
use crate::steps;

/// The sources in a folder of their own, ready to be built as a workspace.
pub(super) fn source(folder: &Path, subject: &Subject) -> Result<PathBuf> {
    let own = folder.join(&subject.name);
    let copy = own.join(format!("{}-{}", subject.name, subject.version));
    let mark = own.join("prepared");
    // Not the causes: fresh sources are compiled anew.
    let wanted = format!("{} {} {:?} {:?}", subject.version, subject.checksum, subject.without, subject.with);
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(copy);
    }
    let original = original(&own.join("fetch"), subject)?;
    _ = fs::remove_dir_all(&copy);
    copy_tree(&original, &copy)?;
    prepare(&copy, subject)?;
    fs::write(&mark, wanted)?;
    Ok(copy)
}

/// The first of a crate's files that has tests in it, if one has.
pub(super) fn tests_in(source: &Path) -> Result<Option<PathBuf>> {
    let mut open = vec![source.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            match kind.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|end| end == "rs") && has_tests(&fs::read_to_string(&path)?) => {
                    return Ok(Some(path));
                }
                false => {}
            }
        }
    }
    Ok(None)
}

/// `#[test]`, `#[tokio::test]` and their like.
fn has_tests(text: &str) -> bool {
    let attributes = text.lines().filter_map(|line| line.trim().strip_prefix("#["));
    attributes.filter_map(|line| line.split([']', '(']).next()).any(|name| name == "test" || name.ends_with("::test"))
}

/// Where cargo keeps them, once it has them and they are those of the list.
fn original(folder: &Path, subject: &Subject) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let cargo_toml = folder.join("Cargo.toml");
    let Subject { name, version, .. } = subject;
    let text = format!(
        "[package]\nname = \"fetch\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         subject = {{ package = \"{name}\", version = \"={version}\", default-features = false }}\n"
    );
    fs::write(&cargo_toml, text)?;
    let metadata = MetadataCommand::new().manifest_path(&cargo_toml).exec().context("cargo cannot fetch it")?;
    let lock = fs::read_to_string(folder.join("Cargo.lock"))?;
    let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
    let (_, rest) = lock.split_once(&entry).context("cargo has fetched another version")?;
    let checksum = rest.lines().find_map(|line| line.strip_prefix("checksum = ")).unwrap_or_default();
    ensure!(
        checksum.trim_matches('"') == subject.checksum,
        "{name} {version} has the checksum {checksum}, the list says \"{}\"",
        subject.checksum
    );
    let is_it = |p: &&cargo_metadata::Package| p.name.as_str() == name && p.version.to_string() == *version;
    let package = metadata.packages.iter().find(is_it).context("cargo does not say where it is")?;
    Ok(package.manifest_path.parent().context("a package has a folder")?.as_std_path().to_owned())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &target)?,
            // Not linked: the registry's own are not to be touched, and are read-only.
            false => fs::write(&target, fs::read(entry.path())?)?,
        }
    }
    Ok(())
}

/// Makes it a workspace of its own, whose other crates use it and not another copy from crates.io, leaves out what the list
/// leaves out, and names what the list adds.
fn prepare(folder: &Path, subject: &Subject) -> Result<()> {
    let cargo_toml = folder.join("Cargo.toml");
    let mut text = without(&fs::read_to_string(&cargo_toml)?, &subject.without);
    if !text.contains("\n[workspace]") {
        text.push_str("\n[workspace]\n");
    }
    for (name, version) in &subject.with {
        text.push_str(&format!("\n[dev-dependencies.{name}]\nversion = \"{version}\"\n"));
    }
    text.push_str(&format!("\n[patch.crates-io]\n{} = {{ path = \".\" }}\n", subject.name));
    fs::write(&cargo_toml, text)?;
    // It would name the copy from crates.io.
    _ = fs::remove_file(folder.join("Cargo.lock"));
    let status = steps::cargo(&["generate-lockfile", "--quiet"]).current_dir(folder).status()?;
    ensure!(status.success(), "cargo cannot resolve its development dependencies");
    Ok(())
}

/// Cargo.toml as cargo publishes it, every dependency a table of its own, without these development dependencies.
fn without(text: &str, names: &[String]) -> String {
    let is_left_out = |header: &str| names.iter().any(|name| header.ends_with(&format!("dev-dependencies.{name}]")));
    let mut skipping = false;
    let lines = text.lines().filter(|line| {
        if line.starts_with('[') {
            skipping = is_left_out(line);
        }
        !skipping
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{has_tests, without};

    #[test]
    fn tests_are_told_by_their_attribute() {
        assert!(["#[test]\nfn a() {}", "  #[tokio::test(flavor = \"x\")]"].into_iter().all(has_tests));
        assert!(!["#[cfg(test)]", "/// #[test]", "#[testing]"].into_iter().any(has_tests));
    }

    #[test]
    fn a_dependency_is_left_out_with_its_table() {
        let text = "[dev-dependencies.a]\nversion = \"1\"\n\n[target.\"cfg(unix)\".dev-dependencies.b]\nversion = \"2\"\n[lib]\n";
        assert_eq!(without(text, &["b".into()]), "[dev-dependencies.a]\nversion = \"1\"\n\n[lib]\n");
    }
}
