//! `ampoule run --trace`: what the program asks of its operating system, a line a call (`os/trace` in the machine).

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi::manifest::Manifest;
use abi::trace::{Family, Filter, VARIABLE};
use anyhow::Context as _;
use monitor::{Options, Outcome};

use crate::Failure;

/// A trace that was asked for, and where it goes: open before the machine starts, for later the tool may open nothing.
#[derive(Debug)]
pub(super) struct Wanted {
    filter: String,
    file: Arc<File>,
}

impl Wanted {
    /// `filter`: which calls. `path`: the file to make; without one the trace goes to standard error.
    pub(super) fn new(filter: Option<String>, path: Option<PathBuf>) -> Result<Self, Failure> {
        let filter = filter.unwrap_or_default();
        Filter::parse(&filter).map_err(|unknown| {
            let families = Family::ALL.map(Family::name).join(", ");
            Failure::input(format!(
                "--trace: no traced call and no family of them is called {:?}; the families are {families}",
                unknown.0
            ))
        })?;
        let file = match path {
            Some(path) => File::create(&path)
                .map_err(|error| Failure::input(format!("cannot write the trace to {}: {error}", path.display())))?,
            None => std::io::stderr().as_fd().try_clone_to_owned().context("cannot copy standard error")?.into(),
        };
        Ok(Self { filter, file: Arc::new(file) })
    }

    /// Can it be had of this image?
    pub(super) fn check(&self, path: &Path, manifest: &Manifest) -> Result<(), Failure> {
        if manifest.is_traced() {
            return Ok(());
        }
        Err(Failure::input(format!(
            "{}: the image was not built to be traced; name its package instead, or build it with `ampoule build --trace`",
            path.display()
        )))
    }

    /// Has the machine tell, and the monitor pass it on.
    pub(super) fn apply(&self, options: &mut Options) {
        options.environment.push(format!("{VARIABLE}={}", self.filter));
        options.trace = Some(Arc::clone(&self.file));
    }

    /// Says how the machine ended.
    pub(super) fn end(&self, outcome: &Outcome) {
        // Whoever passes lines on has said it if they cannot be written.
        _ = writeln!(&*self.file, "+++ exited with {} +++", outcome.status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_said() {
        let refusal = |filter: &str, path: Option<&str>| {
            let error = Wanted::new(Some(filter.into()), path.map(Into::into)).expect_err("a refusal");
            assert_eq!(error.status(), 2);
            error.to_string()
        };
        let unknown = refusal("net,opne", None);
        assert!(unknown.contains("is called \"opne\"; the families are file, desc, net"), "{unknown}");
        let file = refusal("", Some("/nowhere/trace"));
        assert_eq!(file, "cannot write the trace to /nowhere/trace: No such file or directory (os error 2)");
        assert!(refusal("", Some("/")).contains("directory"));
    }
}
