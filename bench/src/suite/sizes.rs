//! How much is shipped: images; a kernel with its initial RAM disk; a static program.

use super::place::Place;
use super::subjects::{Subjects, length};
use super::{figure, less};
use crate::results::{Figure, Line, Outcome, Role};
use anyhow::Result;
use std::path::Path;

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let mut lines = Vec::new();
    for (folder, name, reach) in
        [("examples/hello", "hello", "≤ 100,000"), ("examples/web", "web: tokio and axum", "≤ 900,000")]
    {
        let program = subjects.program(folder, true)?;
        let line = |who: &str, role, against: Option<&str>, outcome| Line {
            group: name.into(),
            who: who.into(),
            role,
            against: against.map(str::to_owned),
            reach: None,
            outcome,
        };
        let bytes = |files: &[&Path]| -> Result<Outcome> {
            let sum = files.iter().try_fold(0, |sum, file| anyhow::Ok(sum + length(file)?))?;
            Ok(Outcome::Measured(vec![[sum as f64].into_iter().collect()]))
        };
        const LINUX: &str = "Linux: kernel and RAM disk";
        let mut ours = line("Ampoule, with the one line", Role::Ours, Some(LINUX), bytes(&[&program.image])?);
        ours.reach = Some(reach.into());
        lines.push(ours);
        let plain = subjects.image(folder, false)?;
        lines.push(line("Ampoule, source as it is", Role::Ours, Some(LINUX), bytes(&[&plain])?));
        let linux = match (&program.linux, Place::Linux.lacks(false)) {
            (Ok(linux), _) => bytes(&[&linux.kernel, &linux.initrd])?,
            (Err(_), Some(why)) => Outcome::Absent(why),
            (Err(why), None) => Outcome::Failed(why.clone()),
        };
        lines.push(line(LINUX, Role::Linux, None, linux));
        lines.push(line("native, without an OS", Role::Native, None, bytes(&[&program.native])?));
    }
    let about = "Bytes of the file that runs. An image has its operating system in it; a native program, linked statically \
                 with glibc and stripped, needs one. The Linux guest is Debian's cloud kernel as it comes, compressed, and an \
                 uncompressed initial RAM disk with the program and the modules for its devices.";
    Ok(vec![figure("sizes", "Size of what runs", about, vec![less("size", "bytes")], 1, lines)])
}
