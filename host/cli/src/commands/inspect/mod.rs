//! `ampoule inspect`: what is in an image, why, and what it may do.
//!
//! The image alone says what it is given and may do. What lies inside, its debug file says; without that file the rest is
//! shown, and what asks for more says how to get it.

mod bom;
mod diff;
mod facts;
mod html;
mod text;
mod why;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::Image;
use image::contents::{Contents, ContentsError};

use crate::Failure;
use crate::arguments::Inspect;

/// An image and what is known of it.
pub(super) struct Subject {
    path: PathBuf,
    image: Image,
    /// What lies inside, or why nobody knows.
    contents: Result<Contents, String>,
}

impl Subject {
    /// Opens an image and the debug file beside it.
    fn open(path: &Path) -> Result<Self, Failure> {
        let image = super::target::open(path)?;
        let contents = contents(path, &image)?;
        Ok(Self { path: path.to_owned(), image, contents })
    }

    /// What lies inside; an error, if nobody knows.
    fn contents(&self) -> Result<&Contents, Failure> {
        self.contents.as_ref().map_err(Failure::input)
    }
}

fn contents(path: &Path, image: &Image) -> Result<Result<Contents, String>, Failure> {
    let beside = path.with_extension("debug");
    let bytes = match std::fs::read(&beside) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let what = "what lies inside is told by the debug file that `ampoule build` writes beside the image";
            return Ok(Err(format!("there is no {}: {what}; copy it there, or build again", beside.display())));
        }
        Err(error) => return Ok(Err(format!("cannot read {}: {error}", beside.display()))),
    };
    Ok(Contents::read(image, &bytes).map_err(|error: ContentsError| format!("{}: {error}", beside.display())))
}

/// Shows it.
pub(super) fn perform(arguments: &Inspect) -> Result<u8, Failure> {
    if let [before, after] = arguments.diff.as_slice() {
        return diff::perform(&Subject::open(before)?, &Subject::open(after)?, arguments.json);
    }
    let path = arguments.image.as_deref().ok_or_else(|| Failure::input("name an image"))?;
    let subject = Subject::open(path)?;
    if let Some(name) = &arguments.why {
        return why::perform(&subject, name, arguments.json);
    }
    if let Some(file) = &arguments.bom {
        write(file, &bom::json(&subject)?)?;
    }
    if let Some(file) = &arguments.html {
        write(file, &html::page(&subject)?)?;
    }
    if arguments.json {
        print(&facts::json(&subject)?)?;
    } else if arguments.html.is_none() && arguments.bom.is_none() {
        print(&text::text(&subject))?;
        if let Err(reason) = &subject.contents {
            eprintln!("warning: {reason}");
        }
    }
    Ok(0)
}

/// Writes to standard output. Whoever reads may stop when he has seen enough.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("cannot write to standard output").into())
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    if file == Path::new("-") {
        return print(text);
    }
    Ok(std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?)
}
