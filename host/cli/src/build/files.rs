//! Gathers the files that the manifest seals in: reads them, or says which cannot be taken and why.
//!
//! Every build reads them afresh, so a file that has changed is another image. Times, owners and permissions of the
//! package's files do not get in: they differ from one checkout to the next. Links are followed as long as they lead to
//! something in the package.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use image::files::FileTree;

use crate::manifest::{FileRule, ManifestError, Problem, is_own};

/// More than this is no image (`ampoule_image` reads no larger one).
const BYTES_MAX: u64 = 1 << 30;

/// The table of sealed files; empty without rules. `target` is cargo's own folder, which is never sealed.
pub(super) fn pack(cargo_toml: &Path, rules: &[FileRule], target: &Path) -> Result<Vec<u8>> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let folder = cargo_toml.parent().context("a Cargo.toml is in a folder")?;
    let package = folder.canonicalize().with_context(|| format!("cannot read {}", folder.display()))?;
    let target = target.canonicalize().ok();
    let mut gathering = Gathering { package: &package, target, tree: FileTree::default(), bytes: 0 };
    for rule in rules {
        let path = folder.join(rule.host.trim_end_matches('/'));
        let taken = gathering.take(&path, rule.guest.as_bytes(), rule.host.ends_with('/'));
        taken.map_err(|problem| ManifestError {
            file: cargo_toml.to_owned(),
            line: rule.line,
            key: rule.key.clone(),
            problem: Problem::File(format!("{problem:#}")),
        })?;
    }
    Ok(gathering.tree.pack(time_s()?))
}

/// When the sealed files say they were last changed: 1970, or what reproducible builds agree on
/// (<https://reproducible-builds.org/specs/source-date-epoch/>), for servers that tell clients how old a file is.
fn time_s() -> Result<u64> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(0) };
    let seconds = text.to_str().and_then(|text| text.parse().ok()).filter(|seconds| *seconds <= i64::MAX as u64);
    seconds.ok_or_else(|| anyhow!("SOURCE_DATE_EPOCH is {text:?} and not a number of seconds since 1970"))
}

struct Gathering<'a> {
    package: &'a Path,
    target: Option<PathBuf>,
    tree: FileTree,
    bytes: u64,
}

impl Gathering<'_> {
    /// Takes what lies at `path` in as `guest`.
    fn take(&mut self, path: &Path, guest: &[u8], is_folder: bool) -> Result<()> {
        let real = self.inside(path)?;
        if fs::metadata(&real).with_context(|| format!("cannot read {}", path.display()))?.is_dir() {
            return self.take_folder(path, &real, guest);
        }
        if is_folder {
            return Err(anyhow!("{} is a file, and the `/` at its end says that it is a folder", path.display()));
        }
        self.take_file(path, &real, guest)
    }

    /// Where `path` really is, if that is in the package.
    fn inside(&self, path: &Path) -> Result<PathBuf> {
        let real = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
        if !real.starts_with(self.package) {
            return Err(anyhow!(
                "{} leads to {}, outside of the package; copy it into the package",
                path.display(),
                real.display()
            ));
        }
        Ok(real)
    }

    fn take_file(&mut self, path: &Path, real: &Path, guest: &[u8]) -> Result<()> {
        let cannot = || format!("cannot read {}", path.display());
        let metadata = fs::metadata(real).with_context(cannot)?;
        // Before it is opened: a pipe would never answer.
        if !metadata.is_file() {
            return Err(anyhow!("{} is neither a file nor a folder", path.display()));
        }
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.bytes > BYTES_MAX {
            return Err(anyhow!("with {} the sealed files have more than 1 GiB", path.display()));
        }
        let bytes = fs::read(real).with_context(cannot)?;
        self.add(path, guest, |tree| tree.add_file(guest, bytes))
    }

    /// Takes a folder and all that is below it, without recursion: a package may be deep.
    fn take_folder(&mut self, path: &Path, real: &Path, guest: &[u8]) -> Result<()> {
        let mut folders = vec![(path.to_owned(), real.to_owned(), guest.to_owned())];
        while let Some((path, real, guest)) = folders.pop() {
            if self.target.as_deref().is_some_and(|target| target.starts_with(&real) || real.starts_with(target)) {
                return Err(anyhow!(
                    "{} holds what cargo builds; put what is to be sealed into a folder of its own",
                    path.display()
                ));
            }
            self.add(&path, &guest, |tree| tree.add_folder(&guest))?;
            let cannot = || format!("cannot list {}", path.display());
            for entry in fs::read_dir(&real).with_context(cannot)? {
                let name = entry.with_context(cannot)?.file_name();
                let below = path.join(&name);
                let own = self.inside(&below)?;
                let guest = [&guest[..], b"/", name.as_bytes()].concat();
                match fs::metadata(&own).with_context(|| format!("cannot read {}", below.display()))?.is_dir() {
                    // A link to a folder above would never end.
                    true if real.starts_with(&own) => {
                        return Err(anyhow!("{} leads back to a folder that it is in", below.display()));
                    }
                    true => folders.push((below, own, guest)),
                    false => self.take_file(&below, &own, &guest)?,
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: &Path,
        guest: &[u8],
        add: impl FnOnce(&mut FileTree) -> Result<(), image::files::TreeError>,
    ) -> Result<()> {
        if is_own(guest) {
            return Err(anyhow!("{} cannot be {}: that belongs to the machine", path.display(), guest.escape_ascii()));
        }
        add(&mut self.tree).with_context(|| format!("{} cannot be {}", path.display(), guest.escape_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::files::Files;
    use std::os::unix::fs::symlink;

    /// A package's folder, gone at the end of the test.
    struct Package(PathBuf);

    impl Package {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("ampoule-files-{name}-{}", std::process::id()));
            fs::create_dir_all(folder.join("package/target")).expect("a folder");
            let package = Package(folder);
            package.write("package/Cargo.toml", "");
            package
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.join(path)
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }

        fn pack(&self, rules: &[(&str, &str)]) -> Result<Vec<u8>> {
            let rule = |(guest, host): &(&str, &str)| FileRule {
                line: 7,
                key: "files".into(),
                guest: guest.trim_end_matches('/').to_string(),
                host: host.to_string(),
            };
            let rules: Vec<_> = rules.iter().map(rule).collect();
            pack(&self.path("package/Cargo.toml"), &rules, &self.path("package/target"))
        }

        fn refusal(&self, rules: &[(&str, &str)]) -> String {
            let text = self.pack(rules).expect_err("should be refused").to_string();
            assert!(text.contains("Cargo.toml:7: `files`: "), "no place: {text}");
            text
        }
    }

    impl Drop for Package {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    fn listed(table: &[u8]) -> Vec<String> {
        let files = Files::new(table).expect("a table");
        assert_eq!(files.check(), Ok(()));
        image::files::list(&files).into_iter().map(|file| String::from_utf8(file.path).expect("text")).collect()
    }

    #[test]
    fn files_and_folders_are_taken() {
        let package = Package::new("taken");
        package.write("package/motd.txt", "hello");
        package.write("package/static/index.html", "<h1>");
        package.write("package/static/deep/er/x", "");
        fs::create_dir(package.path("package/static/empty")).expect("made");
        symlink("../motd.txt", package.path("package/static/link")).expect("made");
        symlink("deep", package.path("package/static/other")).expect("made");
        let rules = [("/etc/motd", "motd.txt"), ("/www", "static/"), ("/www/more", "motd.txt")];
        let table = package.pack(&rules).expect("packed");
        let wanted = "/etc /etc/motd /www /www/deep /www/deep/er /www/deep/er/x /www/empty /www/index.html /www/link \
                      /www/more /www/other /www/other/er /www/other/er/x";
        assert_eq!(listed(&table), wanted.split(' ').collect::<Vec<_>>());
        assert_eq!(package.pack(&rules).expect("packed"), table, "the same files give the same bytes");
        package.write("package/motd.txt", "HELLO");
        assert_ne!(package.pack(&rules).expect("packed"), table, "others give others");
        assert_eq!(listed(&package.pack(&[("/", "static")]).expect("packed")).len(), 9);
        assert!(package.pack(&[]).expect("nothing").is_empty());
    }

    #[test]
    fn what_cannot_be_taken_is_named_with_the_reason() {
        let package = Package::new("refused");
        package.write("secret", "");
        package.write("package/a", "");
        package.write("package/d/a", "");
        package.write("package/root/tmp/a", "");
        symlink("../../secret", package.path("package/d/out")).expect("made");
        for (rules, reason) in [
            (&[("/x", "nothing")][..], "cannot find"),
            (&[("/x", "../secret")], "outside of the package"),
            (&[("/x", "d")], "outside of the package"),
            (&[("/x", "a/")], "says that it is a folder"),
            (&[("/x", "a"), ("/x/y", "a")], "a file and a folder"),
            (&[("/x", "a"), ("/x", "a")], "two files"),
            (&[("/", "root")], "belongs to the machine"),
            (&[("/x", ".")], "holds what cargo builds"),
            (&[("/x", "target")], "holds what cargo builds"),
            (&[("/", "a")], "starts with `/`"),
        ] {
            let refusal = package.refusal(rules);
            assert!(refusal.contains(reason), "{rules:?}: {refusal}");
        }
        assert!(package.refusal(&[("/x", "d")]).contains("package/d/out"), "the file is named");
    }

    #[test]
    fn links_in_a_circle_and_pipes_end_with_an_error() {
        let package = Package::new("circle");
        package.write("package/d/e/a", "");
        symlink("..", package.path("package/d/e/up")).expect("made");
        assert!(package.refusal(&[("/x", "d")]).contains("leads back"));
        fs::remove_file(package.path("package/d/e/up")).expect("removed");
        package.write("package/d/f/a", "");
        symlink("../f", package.path("package/d/e/side")).expect("made");
        symlink("../e", package.path("package/d/f/side")).expect("made");
        let refusal = package.refusal(&[("/x", "d")]);
        assert!(refusal.contains("at most") || refusal.contains("Too many levels"), "{refusal}");
        fs::remove_dir_all(package.path("package/d")).expect("removed");
        fs::create_dir(package.path("package/d")).expect("made");
        let made = std::process::Command::new("mkfifo").arg(package.path("package/d/pipe")).status();
        assert!(made.expect("mkfifo runs").success());
        assert!(package.refusal(&[("/x", "d")]).contains("neither a file nor a folder"));
    }
}
