//! What is run on the emulated computer: the tiny guests that need no network, and each thing that ring 3 may not do.

use std::path::{Path, PathBuf};

use ampoule_tests::backend::Backend;
use ampoule_tests::guests::{Guest, Way};
use ampoule_tests::machine::End;
use anyhow::{Context, Result, ensure};

/// The guest that does what ring 3 may not, and how many such things it has. One number more ends it with
/// [`NO_SUCH_ATTEMPT`], so that the count cannot grow stale unnoticed.
const FORBIDDEN: (&str, usize) = ("guest-forbidden", 27);
const NO_SUCH_ATTEMPT: i32 = 4;
/// The extension of an image's symbols, which the tool looks for beside it.
const SYMBOLS: &str = "debug";

/// One run of `ampoule`.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The image, on this computer.
    pub(crate) image: PathBuf,
    arguments: Vec<String>,
    expected: Expected,
}

enum Expected {
    /// What the guest's manifest says.
    Manifest(Box<Guest>),
    /// A fault, and where.
    Fault,
    /// There are no more attempts.
    NoMore,
}

/// All cases. Builds the images.
pub(crate) fn all() -> Result<Vec<Case>> {
    let guests = Guest::all()?;
    // Nobody there feeds a guest.
    let wanted = guests
        .iter()
        .filter(|guest| guest.is_for(Backend::Kvm) && guest.goes(Way::Line) && !guest.has_network && !guest.is_fed());
    let mut cases = Vec::new();
    for guest in wanted {
        let image = guest.image(Way::Line)?;
        if guest.name == FORBIDDEN.0 {
            cases.extend((0..=FORBIDDEN.1).map(|number| attempt(&image, number)));
        }
        cases.push(Case {
            name: guest.name.clone(),
            image,
            arguments: guest.arguments.clone(),
            expected: Expected::Manifest(Box::new(guest.clone())),
        });
    }
    ensure!(cases.len() > FORBIDDEN.1, "only {} cases are there; is tests/guests complete?", cases.len());
    Ok(cases)
}

fn attempt(image: &Path, number: usize) -> Case {
    Case {
        name: format!("{} {number}", FORBIDDEN.0),
        image: image.to_owned(),
        arguments: vec!["--".to_owned(), number.to_string()],
        expected: if number < FORBIDDEN.1 { Expected::Fault } else { Expected::NoMore },
    }
}

/// A file's name on the emulated computer.
pub(crate) fn file_name(file: &Path) -> Result<String> {
    let name = file.file_name().context("an image has a file name")?;
    Ok(format!("images/{}", name.to_string_lossy()))
}

impl Case {
    /// The image's symbols, where the machine ends with a report of it and they are there.
    pub(crate) fn symbols(&self) -> Option<PathBuf> {
        let ends_with_report = match &self.expected {
            Expected::Manifest(guest) => guest.is_ended(),
            Expected::Fault => true,
            Expected::NoMore => false,
        };
        Some(self.image.with_extension(SYMBOLS)).filter(|file| ends_with_report && file.is_file())
    }

    /// The command, its words separated by tabs.
    pub(crate) fn command(&self) -> Result<String> {
        let image = format!("/{}", file_name(&self.image)?);
        let mut words = vec!["/ampoule", "run", &image];
        words.extend(Backend::Kvm.flags());
        words.extend(self.arguments.iter().map(String::as_str));
        Ok(words.join("\t"))
    }

    /// Fails unless it ended as expected.
    pub(crate) fn check(&self, end: End) -> Result<()> {
        match &self.expected {
            Expected::Manifest(guest) => guest.check(end),
            Expected::Fault => end.with_fault().map(drop),
            Expected::NoMore => end
                .with_status(NO_SUCH_ATTEMPT)
                .context("it has more attempts now: change FORBIDDEN in xtask/src/nested/cases.rs")
                .map(drop),
        }
    }
}
