//! What a guest prints on Linux: the expectation of those that walk through an interface (`as_linux` in their manifests).
//!
//! The same program, built for the host without the library OS, is run as a machine would be: its manifest's arguments and
//! environment, `/` as its folder; where the manifest says `scratch`, with a folder of its own as `TMPDIR`. The two outputs must be equal, line for line, with these exceptions:
//!
//! * A line `~N name numbers`, hexadecimal floating-point patterns: each may be N units in the last place off.
//! * A line that the manifest lists in `differs`: a table of `case` and `line` (its name) with `machine`, what a machine says
//!   instead, and `why`. Such a list is a list of faults, or of what a machine inherently lacks.
//! * The tool's own notes, which begin with `ampoule: `.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result, anyhow, bail, ensure};
use cargo_metadata::Package;
use serde::Deserialize;

use crate::tool;

/// A program that also runs on Linux.
#[derive(Clone, Debug)]
pub struct Linux {
    package: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    scratch: bool,
    differs: Vec<Difference>,
    /// What it printed there.
    output: Arc<OnceLock<Result<String, String>>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    case: String,
    line: String,
    machine: String,
    #[serde(rename = "why")]
    _why: String,
}

/// How a program ended on Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The status as a shell has it: 128 and the signal's number, where one ended it.
    pub status: i32,
    /// Standard output.
    pub output: String,
}

/// A guest's program, built for the host.
///
/// # Errors
/// It does not build.
pub fn program(package: &str) -> Result<PathBuf> {
    static PROGRAMS: Mutex<()> = Mutex::new(());
    let _one_at_a_time = PROGRAMS.lock();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--release", "--no-default-features", "--package", package]);
    command.arg("--target-dir").arg(tool::root().join("tests/guests/target/linux"));
    command.current_dir(tool::root().join("tests/guests")).env("CARGO_PROFILE_RELEASE_PANIC", "unwind");
    // As cargo does it for everybody: with the system's libc.
    command.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=-crt-static");
    tool::built(command, package)
}

impl Linux {
    pub(crate) fn read(package: &Package) -> Result<Self> {
        let manifest = &package.metadata["ampoule"];
        let texts = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let environment = manifest["env"].as_object().into_iter().flatten();
        let differs = &package.metadata["expect"]["differs"];
        Ok(Self {
            package: package.name.to_string(),
            arguments: manifest["args"].as_array().into_iter().flatten().filter_map(texts).collect(),
            environment: environment.filter_map(|(name, value)| Some((name.clone(), texts(value)?))).collect(),
            scratch: package.metadata["expect"]["scratch"] == true,
            differs: if differs.is_null() { Vec::new() } else { Vec::deserialize(differs).context("`differs`")? },
            output: Arc::default(),
        })
    }

    /// Runs it to its end, with its manifest's arguments or with these.
    ///
    /// # Errors
    /// It does not build or run.
    pub fn run(&self, arguments: Option<&[&str]>, input: &str) -> Result<End> {
        let program = program(&self.package)?;
        let mut command = Command::new("timeout");
        command.arg("--kill-after=1").arg(crate::machine::PATIENCE.as_secs().to_string()).arg(program);
        match arguments {
            Some(arguments) => command.args(arguments),
            None => command.args(&self.arguments),
        };
        command.env_clear().envs(self.environment.iter().cloned()).current_dir(Path::new("/"));
        let scratch = std::env::temp_dir().join(format!("ampoule-{}-{}", self.package, std::process::id()));
        if self.scratch {
            std::fs::create_dir_all(&scratch)?;
            command.env("TMPDIR", &scratch);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot start it on Linux")?;
        child.stdin.take().context("it has no input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output();
        if self.scratch {
            std::fs::remove_dir_all(&scratch)?;
        }
        let output = output?;
        // `timeout` ends as its program did.
        let status = output.status.code().or(output.status.signal().map(|signal| 128 + signal));
        let status = status.context("a program ends by itself, or by a signal")?;
        Ok(End { status, output: String::from_utf8_lossy(&output.stdout).into_owned() })
    }

    /// Fails unless this is what it prints on Linux.
    ///
    /// # Errors
    /// The first lines that differ.
    pub fn check(&self, machine: &str, input: &str) -> Result<()> {
        let run = || -> Result<String> {
            let end = self.run(None, input)?;
            ensure!(end.status == 0, "status {} on Linux:\n{}", end.status, end.output);
            Ok(end.output)
        };
        let linux = self.output.get_or_init(|| run().map_err(|error| format!("{error:#}")));
        compare(linux.as_deref().map_err(|error| anyhow!("{error}"))?, machine, &self.differs)
    }
}

fn compare(linux: &str, machine: &str, differs: &[Difference]) -> Result<()> {
    let mut ours = machine.lines().filter(|line| !line.starts_with("ampoule: "));
    let (mut case, mut wrong, mut used) = ("", Vec::new(), BTreeSet::new());
    for theirs in linux.lines() {
        if !theirs.starts_with([' ', '~']) {
            case = theirs;
        }
        let Some(ours) = ours.next() else { bail!("{case}: it ends where Linux has `{theirs}`\n{}", wrong.join("\n")) };
        if theirs == ours || is_near(theirs, ours) {
            continue;
        }
        let name = theirs.trim_start();
        let known = differs.iter().position(|d| d.case == case && name.starts_with(&format!("{}: ", d.line)));
        match known {
            Some(index) if ours.trim_start() == format!("{}: {}", differs[index].line, differs[index].machine) => {
                used.insert(index);
            }
            _ => wrong.push(format!("{case}\n  Linux:   {}\n  machine: {}", theirs.trim(), ours.trim())),
        }
    }
    if let Some(more) = ours.next() {
        wrong.push(format!("{case}: it goes on where Linux ends: {more}"));
    }
    let stale = (0..differs.len()).filter(|index| !used.contains(index)).map(|index| &differs[index]);
    wrong.extend(stale.map(|d| format!("{}, {}: no longer differs; take it from the manifest's list", d.case, d.line)));
    ensure!(wrong.is_empty(), "{} lines differ from Linux:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// Are these two lines `~N name numbers` with numbers that are at most N units in the last place apart?
fn is_near(theirs: &str, ours: &str) -> bool {
    let parse = |line: &str| -> Option<(u64, String, Vec<Option<i64>>)> {
        let mut words = line.strip_prefix('~')?.split(' ');
        let ulps = words.next()?.parse().ok()?;
        let (numbers, name): (Vec<_>, Vec<_>) =
            words.partition(|word| *word == "nan" || word.len() == 16 || word.len() == 8);
        let numbers = numbers.into_iter().map(|word| if word == "nan" { Some(None) } else { ordered(word).map(Some) });
        Some((ulps, name.join(" "), numbers.collect::<Option<Vec<_>>>()?))
    };
    let (Some(theirs), Some(ours)) = (parse(theirs), parse(ours)) else { return false };
    let near = |pair: (&Option<i64>, &Option<i64>)| match pair {
        (Some(a), Some(b)) => a.abs_diff(*b) <= ours.0,
        (a, b) => a == b,
    };
    theirs.0 == ours.0 && theirs.1 == ours.1 && theirs.2.len() == ours.2.len() && theirs.2.iter().zip(&ours.2).all(near)
}

/// A floating-point number's pattern as a number of the same order, so that neighbours are one apart.
fn ordered(hexadecimal: &str) -> Option<i64> {
    let bits = u64::from_str_radix(hexadecimal, 16).ok()?;
    let (sign, magnitude) = match hexadecimal.len() {
        16 => (bits >> 63, (bits << 1 >> 1) as i64),
        _ => (bits >> 31, (bits & 0x7fff_ffff) as i64),
    };
    Some(if sign == 0 { magnitude } else { -magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_exceptions() {
        let known = || {
            let text = |text: &str| text.to_owned();
            vec![Difference { case: text("case"), line: text("b"), machine: text("3"), _why: text("so") }]
        };
        assert!(compare("case\n  a: 1\n", "case\n  a: 1\nampoule: a note\n", &[]).is_ok());
        assert!(compare("case\n  a: 1\n", "case\n  a: 2\n", &[]).is_err());
        assert!(compare("case\n  a: 1\n", "case\n", &[]).is_err());
        assert!(compare("case\n", "case\n  a: 1\n", &[]).is_err());
        assert!(compare("case\n  b: 1\n", "case\n  b: 3\n", &known()).is_ok());
        assert!(compare("case\n  b: 1\n", "case\n  b: 4\n", &known()).is_err());
        assert!(compare("case\n  b: 1\n", "case\n  b: 1\n", &known()).is_err(), "stale");
        assert!(compare("other\n  b: 1\n", "other\n  b: 3\n", &known()).is_err());
    }

    #[test]
    fn units_in_the_last_place() {
        assert!(is_near("~1 sin 3ff0000000000000 nan", "~1 sin 3ff0000000000001 nan"));
        assert!(!is_near("~1 sin 3ff0000000000000", "~1 sin 3ff0000000000002"));
        assert!(is_near("~2 f 8000000000000001", "~2 f 0000000000000001"));
        assert!(is_near("~1 f of x 3f800000", "~1 f of x 3f7fffff") && !is_near("~0 f 3f800000", "~0 f 3f7fffff"));
        assert!(!is_near("~1 f nan", "~1 f 3f800000") && !is_near("~1 f nan nan", "~1 f nan"));
    }
}
