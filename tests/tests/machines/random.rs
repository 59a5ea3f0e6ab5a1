//! Two boots of one image have nothing random in common.

use std::path::Path;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
use ampoule_tests::tool;
use anyhow::{Result, ensure};

use crate::everywhere;

pub(crate) fn cases() -> Vec<Case> {
    everywhere("boots differ", boots_differ).collect()
}

fn boots_differ(backend: Backend) -> Result<()> {
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/random", &[], &abort)?;
    let boot = || Machine::start(&image, backend, &[])?.end()?.with_status(0);
    let (first, second) = (boot()?, boot()?);
    for name in ["seed", "code"] {
        let line = |text: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        let both = (line(&first.output), line(&second.output));
        ensure!(both.0.is_some() && both.0 != both.1, "twice {both:?}");
    }
    // The hypervisor's machines have a device for it; elsewhere the boot information's seed is all.
    ensure!(first.output.contains("device [") == backend.has_frames(), "{}", first.output);
    Ok(())
}
