//! `cargo xtask bench`: measures parts of the benchmark, keeps what came out, and writes docs/benchmarks.md of all that is kept.
//!
//! Each part is kept as soon as it is measured, so a run that is broken off loses one part, and `--resume` goes on after it.
//! A run that is invalid never takes a valid one's place.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use bench::parts::{self, PARTS, PartInfo};
use bench::report::{self, FOLDER, PAGE, RESULTS};
use bench::results::{Part, Results};
use bench::suite::{self, Subjects};
use cargo_metadata::MetadataCommand;

use crate::{setup, steps};

const USAGE: &str = "\
usage: cargo xtask bench [--quick] [--resume] [--output FOLDER] [PART]...
       cargo xtask bench --list | --render [--output FOLDER]

  PART              what to measure; everything, if none is named (--list tells them)
  --quick           few samples, for trying; written to target/bench/quick, unless --output says otherwise
  --resume          only what has not been measured yet on these sources
  --render          measure nothing: write the page of what is kept
  --output FOLDER   where benchmarks.md and benchmarks/ are, instead of docs";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    parts: Vec<String>,
    is_quick: bool,
    is_resumed: bool,
    only_list: bool,
    only_render: bool,
    output: Option<PathBuf>,
}

/// Does what the words say.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let done = match Request::of(words) {
        Ok(request) => request.perform(),
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(invalid) if invalid.is_empty() => ExitCode::SUCCESS,
        Ok(invalid) => {
            eprintln!("error: this run is invalid:");
            invalid.iter().for_each(|why| eprintln!("  {why}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Request {
    fn of(words: &[&str]) -> Result<Self, String> {
        let mut request = Request::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => request.is_quick = true,
                "--resume" => request.is_resumed = true,
                "--list" => request.only_list = true,
                "--render" => request.only_render = true,
                "--output" => {
                    let folder = words.next().ok_or("--output wants a folder")?;
                    request.output = Some(folder.into());
                }
                option if option.starts_with('-') => return Err(format!("no option `{option}`")),
                part if parts::find(part).is_none() => {
                    let names = PARTS.map(|part| part.name).join(", ");
                    return Err(format!("no part `{part}`; there are {names}"));
                }
                part => request.parts.push(part.to_owned()),
            }
        }
        let measures = request.is_quick || request.is_resumed || !request.parts.is_empty();
        if (request.only_list || request.only_render) && measures || request.only_list && request.only_render {
            return Err("--list and --render measure nothing, and stand alone".into());
        }
        Ok(request)
    }

    /// Gives the reasons why the run is invalid, if it is.
    fn perform(&self) -> Result<Vec<String>> {
        if self.only_list {
            print!("{}", list());
            return Ok(Vec::new());
        }
        let metadata = MetadataCommand::new().no_deps().exec()?;
        let root = metadata.workspace_root.into_std_path_buf();
        let cache = steps::target_folder().join("bench");
        let output = match &self.output {
            Some(folder) => folder.clone(),
            None if self.is_quick => cache.join("quick"),
            None => root.join("docs"),
        };
        std::fs::create_dir_all(output.join(FOLDER)).with_context(|| format!("cannot make {}", output.display()))?;
        let file = output.join(FOLDER).join(RESULTS);
        let mut results = Results::load(&file)?;
        let mut invalid = Vec::new();
        if !self.only_render {
            setup::install();
            std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
            let subjects = subjects(root, cache.canonicalize()?, self.is_quick)?;
            let tree = suite::tree(&subjects);
            let wanted: Vec<&PartInfo> = PARTS.iter().filter(|info| self.wants(info, &results, &tree)).collect();
            for info in wanted {
                eprintln!("measuring {}: {} (about {} s)", info.name, info.about, info.seconds);
                match suite::measure(&subjects, info.name) {
                    Ok(part) => invalid.extend(keep(&mut results, info, part, &file, &output)?),
                    Err(error) => invalid.push(format!("{}: {error:#}", info.name)),
                }
            }
        }
        report::write(&results, &output)?;
        println!("{} is written", output.join(PAGE).display());
        Ok(invalid)
    }

    fn wants(&self, info: &PartInfo, results: &Results, tree: &str) -> bool {
        let is_named = self.parts.is_empty() || self.parts.iter().any(|part| part == info.name);
        let is_there = results
            .parts
            .get(info.name)
            .is_some_and(|part| part.tree == tree && part.faults().is_empty() && (self.is_quick || !part.is_quick));
        is_named && !(self.is_resumed && is_there)
    }
}

/// Prints a part, keeps it unless it is invalid and a valid one of its kind is kept already, and says why it is invalid.
fn keep(results: &mut Results, info: &PartInfo, part: Part, file: &Path, output: &Path) -> Result<Vec<String>> {
    for figure in &part.figures {
        println!("\n{}\n\n{}", figure.title, report::table(figure));
    }
    eprintln!("  {} took {:.0} s", info.name, part.seconds);
    let faults: Vec<String> = part.faults().into_iter().map(|fault| format!("{}: {fault}", info.name)).collect();
    faults.iter().for_each(|fault| eprintln!("  invalid: {fault}"));
    let is_better = |kept: &Part| kept.faults().is_empty() && (part.is_quick || !kept.is_quick);
    if !faults.is_empty() && results.parts.get(info.name).is_some_and(is_better) {
        eprintln!("  what was kept of {} before is valid, and stays", info.name);
        return Ok(faults);
    }
    results.parts.insert(info.name.to_owned(), part);
    results.save(file)?;
    report::write(results, output)?;
    Ok(faults)
}

fn subjects(root: PathBuf, cache: PathBuf, is_quick: bool) -> Result<Subjects> {
    Ok(Subjects {
        tool: steps::built("ampoule-cli", "ampoule")?,
        client: steps::built("ampoule-bench", "bench-client")?,
        init: steps::built("ampoule-bench-init", "bench-init")?,
        cache,
        root,
        is_quick,
        built: Default::default(),
    })
}

/// The parts, and how long each takes.
fn list() -> String {
    let line = |part: &PartInfo| format!("{:8} {:4} s  {}\n", part.name, part.seconds, part.about);
    let sum: u32 = PARTS.iter().map(|part| part.seconds).sum();
    let all = format!("all      {sum:4} s  when everything is built; --quick takes about a fifth\n");
    PARTS.iter().map(line).chain([all]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let request = Request::of(&["--quick", "http", "--output", "x", "tcp"]).expect("right");
        assert_eq!(request.parts, ["http", "tcp"]);
        assert!(request.is_quick && request.output == Some("x".into()));
        let wrong = |words: &[&str]| Request::of(words).expect_err("wrong");
        assert!(wrong(&["htpp"]).starts_with("no part `htpp`; there are sizes, start, "));
        assert_eq!(wrong(&["--fast"]), "no option `--fast`");
        assert_eq!(wrong(&["--output"]), "--output wants a folder");
        assert!(
            wrong(&["--render", "http"]).contains("stand alone") && wrong(&["--list", "--quick"]).contains("alone")
        );
    }

    #[test]
    fn every_part_is_listed_and_all_of_it_takes_less_than_22_minutes() {
        assert!(PARTS.iter().all(|part| list().contains(part.about)));
        assert!(PARTS.iter().map(|part| part.seconds).sum::<u32>() <= 22 * 60);
    }
}
