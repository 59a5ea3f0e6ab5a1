//! How long a build takes: `examples/web` as an image, and by plain cargo as a release, in a workspace of its own that is made
//! for this, with the same profile and the same lock file.

use super::subjects::Subjects;
use super::turns::{Contender, take};
use super::{figure, less};
use crate::command::finish_within;
use crate::results::{Figure, Line, Outcome, Role};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(300);
const CLEAN: &str = "everything that the program is made of";
const CHANGED: &str = "after a change of the program";
/// What the tool builds once on a computer: the library OS and the exokernel, in a folder of the target folder.
const OS: &str = "ampoule-os";

/// A workspace with one member, and the target folders of both sides.
struct Project<'a> {
    subjects: &'a Subjects,
    folder: PathBuf,
}

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let project = Project::new(subjects)?;
    // Before the others, which find there what is built once.
    let first = first(&project);
    let rounds = subjects.rounds(ROUNDS);
    let lines = |who: &str, role, against: Option<&str>| -> Vec<Line> {
        let line = |group: &str| Line {
            group: group.into(),
            who: who.into(),
            role,
            against: against.map(str::to_owned),
            reach: None,
            outcome: Outcome::Measured(Vec::new()),
        };
        [CLEAN, CHANGED].map(line).into()
    };
    let image = Contender::new(lines("Ampoule, `ampoule build`", Role::Ours, Some("native, `cargo build`")), || {
        project.clean("image", &[OS])?;
        project.twice(|| project.image())
    });
    let native = Contender::new(lines("native, `cargo build`", Role::Native, None), || {
        project.clean("native", &[])?;
        project.twice(|| project.native())
    });
    let mut all = take(rounds, vec![image, native]);
    all.push(Line {
        outcome: first.map_or_else(
            |error| Outcome::Failed(format!("{error:#}")),
            |seconds| Outcome::Measured(vec![[seconds].into_iter().collect()]),
        ),
        ..lines("Ampoule, `ampoule build`", Role::Ours, None).swap_remove(0)
    });
    if let Some(line) = all.last_mut() {
        line.group = "the first image on a computer: library OS and exokernel too".into();
    }
    Ok(vec![figure(
        "build",
        "Time to build `examples/web`",
        "By one profile: optimised across crates (fat LTO), one unit of code generation. What comes from crates.io is on the \
         disk already. An image is linked with the library OS, sealed, and gets its debug file beside it.",
        vec![less("time", "s")],
        1,
        all,
    )])
}

/// The library OS too, which is built once on a computer.
fn first(project: &Project<'_>) -> Result<f64> {
    project.clean("image", &[])?;
    project.image()
}

impl<'a> Project<'a> {
    fn new(subjects: &'a Subjects) -> Result<Self> {
        let folder = subjects.cache.join("build");
        let examples = subjects.root.join("examples");
        let web = folder.join("web");
        if web.exists() {
            fs::remove_dir_all(&web).context("removing the last run's sources")?;
        }
        copy(&examples.join("web"), &web)?;
        let workspace = fs::read_to_string(examples.join("Cargo.toml")).context("reading the examples' workspace")?;
        let mut lines: Vec<&str> = workspace.lines().collect();
        let members = lines.iter_mut().find(|line| line.starts_with("members ="));
        *members.context("the examples' workspace names no members")? = "members = [\"web\"]";
        // Profiles of members that are not there.
        let end = lines.iter().position(|line| line.starts_with("[profile.release.package")).unwrap_or(lines.len());
        fs::write(folder.join("Cargo.toml"), lines[..end].join("\n"))?;
        fs::copy(examples.join("Cargo.lock"), folder.join("Cargo.lock")).context("copying the lock file")?;
        Ok(Project { subjects, folder })
    }

    fn target(&self, name: &str) -> PathBuf {
        self.folder.join(format!("target-{name}"))
    }

    /// Removes all that was built on one side, but for these.
    fn clean(&self, name: &str, but: &[&str]) -> Result<()> {
        let Ok(entries) = fs::read_dir(self.target(name)) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            if but.iter().any(|but| entry.file_name() == *but) {
                continue;
            }
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Builds, changes the program, builds again: seconds of each.
    fn twice(&self, build: impl Fn() -> Result<f64>) -> Result<Vec<Vec<f64>>> {
        let clean = build()?;
        let main = self.folder.join("web/src/main.rs");
        let text = fs::read_to_string(&main)?;
        // A line that is printed, so that code changes and not only its place.
        let changed = text.replacen("println!(\"s", "println!(\" s", 1);
        if changed == text {
            bail!("{} prints nothing that can be changed", main.display());
        }
        fs::write(&main, changed)?;
        let again = build();
        fs::write(&main, text)?;
        Ok(vec![vec![clean], vec![again?]])
    }

    fn image(&self) -> Result<f64> {
        let mut command = Command::new(&self.subjects.tool);
        command.arg("build").arg(self.folder.join("web")).arg("-o").arg(self.folder.join("web.img"));
        self.timed(&mut command, "image")
    }

    fn native(&self) -> Result<f64> {
        let mut command = Command::new("cargo");
        command.args(["build", "--release", "--quiet", "--package", "web"]);
        self.timed(&mut command, "native")
    }

    fn timed(&self, command: &mut Command, name: &str) -> Result<f64> {
        let start = Instant::now();
        finish_within(command.current_dir(&self.folder).env("CARGO_TARGET_DIR", self.target(name)), PATIENCE)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true if entry.file_name() == "target" => {}
            true => copy(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), &to).with_context(|| format!("cannot copy to {}", to.display()))?),
        }
    }
    Ok(())
}
