//! What pages name, and what there is: commands, parts of the benchmark, tests, files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use super::markdown::Page;
use crate::tool;

/// Where xtask says what it can do.
const USAGE: &str = "xtask/src/main.rs";

/// What there is.
pub struct Known {
    /// The commands of `cargo xtask`.
    xtask: Vec<String>,
    /// The packages of the workspace, and where they are.
    packages: Vec<(String, std::path::PathBuf)>,
    /// The tree's top folders.
    folders: Vec<String>,
}

impl Known {
    /// Looks around.
    ///
    /// # Errors
    /// The tree is not what it was.
    pub fn find() -> Result<Self> {
        let source = fs::read_to_string(tool::root().join(USAGE)).with_context(|| format!("cannot read {USAGE}"))?;
        let usage = source.split_once("const USAGE: &str = \"").and_then(|(_, rest)| rest.split_once("\";"));
        let (usage, _) = usage.with_context(|| format!("{USAGE} has no USAGE"))?;
        let command = |line: &str| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned);
        let xtask: Vec<String> = usage.lines().filter_map(command).filter(|word| !word.is_empty()).collect();
        ensure!(xtask.len() > 4, "only {xtask:?} are found in {USAGE}");
        let metadata = cargo_metadata::MetadataCommand::new().current_dir(tool::root()).no_deps().exec()?;
        let place =
            |package: &cargo_metadata::Package| package.manifest_path.parent().map(|p| p.as_std_path().to_owned());
        let packages = metadata.packages.iter().filter_map(|p| Some((p.name.to_string(), place(p)?))).collect();
        let folders = fs::read_dir(tool::root())?.filter_map(|entry| {
            let entry = entry.ok().filter(|entry| entry.path().is_dir())?;
            entry.file_name().into_string().ok().filter(|name| name != "target")
        });
        Ok(Self { xtask, packages, folders: folders.collect() })
    }

    /// Fails unless `cargo xtask` takes these words, as far as it can be told without doing it. What is written in capitals
    /// or brackets stands for something.
    pub(super) fn xtask(&self, words: &[&str]) -> Result<()> {
        let Some((command, rest)) = words.split_first() else { bail!("`cargo xtask` alone does nothing") };
        ensure!(self.xtask.iter().any(|known| known == command), "there is no `cargo xtask {command}`");
        if *command == "bench" {
            let mut parts = rest.iter().filter(|part| !part.starts_with('-') && !is_placeholder(part));
            let unknown = parts.find(|part| !bench::parts::PARTS.iter().any(|known| known.name == **part));
            ensure!(unknown.is_none(), "there is no `cargo xtask bench {}`", rest.join(" "));
        }
        Ok(())
    }

    /// Fails naming everything between a page's backquotes and in its commands that should be there and is not: commands of
    /// xtask and the tool, tests, and where `has_paths` is set, files of the tree. `cases` are the names of the tests in
    /// machines.
    ///
    /// # Errors
    /// Each with its line.
    pub fn check(&self, page: &Page, cases: &[String], has_paths: bool) -> Result<()> {
        let mut wrong = Vec::new();
        let all = page.quoted().chain(page.commands());
        for (line, quoted) in all.flat_map(|(line, text)| text.split("&&").map(move |part| (line, part))) {
            let checked = match quoted.split_whitespace().collect::<Vec<_>>().as_slice() {
                // Alone it is the name of a program.
                ["cargo", "xtask" | "test"] => Ok(()),
                ["cargo", "xtask", rest @ ..] => self.xtask(rest),
                ["cargo", "test", rest @ ..] => self.test(rest, cases),
                ["ampoule", command, rest @ ..] if command.starts_with(|c: char| c.is_ascii_lowercase()) => {
                    tool_takes(command, rest)
                }
                [path] if has_paths => self.path(path),
                _ => Ok(()),
            };
            wrong.extend(checked.err().map(|error| format!("line {line}: {error:#}")));
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }

    /// `cargo test -p PACKAGE [--test NAME] [--] [WORD]`: is there such a package, and a test with that word?
    fn test(&self, words: &[&str], cases: &[String]) -> Result<()> {
        let after = |flags: &[&str]| words.iter().position(|w| flags.contains(w)).and_then(|at| words.get(at + 1));
        let package = after(&["-p", "--package"]).context("`cargo test` names no package (-p)")?;
        let place = self.packages.iter().find(|(name, _)| name == package).map(|(_, place)| place);
        let place = place.with_context(|| format!("there is no package {package}"))?;
        let target = after(&["--test"]);
        let flags = |at: &usize| !words[*at].starts_with('-');
        let is_value = |at: &usize| *at > 0 && matches!(words[*at - 1], "-p" | "--package" | "--test");
        let name = (0..words.len()).filter(flags).filter(|at| !is_value(at)).map(|at| words[at]).collect::<Vec<_>>();
        let name = name.join(" ");
        if name.is_empty() || is_placeholder(&name) {
            return Ok(());
        }
        if target == Some(&"machines") {
            let word = name.trim_matches('"').trim_matches('\'');
            ensure!(cases.iter().any(|case| case.contains(word)), "no test in machines has `{word}` in its name");
            return Ok(());
        }
        // `module::test` of the standard harness: its last part is a function or a module.
        let last = name.rsplit("::").next().unwrap_or(&name);
        ensure!(mentions(place, last)?, "{package} has no test `{name}`");
        Ok(())
    }

    /// Is it a path of the tree, and is it there?
    fn path(&self, path: &str) -> Result<()> {
        let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'));
        let is_ours = path.split_once('/').is_some_and(|(top, _)| self.folders.iter().any(|folder| folder == top));
        ensure!(!plain || !is_ours || tool::root().join(path).exists(), "there is no {path}");
        Ok(())
    }
}

/// Does it stand for something? `PART`, `[PART]`, `…`.
fn is_placeholder(word: &str) -> bool {
    !word.chars().any(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// Fails unless the tool has this command, and the command these flags.
fn tool_takes(command: &str, rest: &[&str]) -> Result<()> {
    let help = match ampoule_cli::arguments::Arguments::try_parse_from(["ampoule", command, "--help"]) {
        Err(error) if !error.use_stderr() => error.to_string(),
        _ => bail!("there is no `ampoule {command}`"),
    };
    // All others of its flags are cargo's.
    let rest = if command == "test" { &[] } else { rest };
    let own = rest.iter().take_while(|word| **word != "--").map(|word| word.trim_matches(['[', ']']));
    for flag in own.filter(|word| word.starts_with("--")) {
        let name = flag.split(['=', '[']).next().unwrap_or(flag);
        let is_it = |word: &str| word.trim_end_matches(',').split(['=', '[']).next() == Some(name);
        ensure!(help.split_whitespace().any(is_it), "`ampoule {command}` has no {name}");
    }
    Ok(())
}

/// Has a source file below this folder a function or a module of that name?
fn mentions(folder: &Path, name: &str) -> Result<bool> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let is_found = match path.is_dir() {
            true => !path.ends_with("target") && (path.ends_with(name) || mentions(&path, name)?),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                let text = fs::read_to_string(&path)?;
                path.file_stem().is_some_and(|stem| stem == name) || text.contains(&format!("fn {name}"))
            }
            false => false,
        };
        if is_found {
            return Ok(true);
        }
    }
    Ok(false)
}
