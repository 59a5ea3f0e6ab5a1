//! The same sources in another folder give the same bytes. (`cargo xtask reproduce` varies more than the folder.)

use std::fs;

use ampoule_tests::copy::Copy;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::tool;
use anyhow::{Result, ensure};

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("images are the same from another folder", || same_bytes().map(|()| Verdict::Passed))]
}

fn same_bytes() -> Result<()> {
    let there = Copy::new("ampoule in another folder")?;
    let target = there.folder().join("target");
    for example in ["hello", "hello-oneline"] {
        let folder = format!("examples/{example}");
        let image = tool::image(&folder)?;
        let environment = [("AMPOULE_SOURCE", there.folder()), ("CARGO_TARGET_DIR", target.as_path())];
        let other = tool::build(&there.folder().join(&folder), &[], &environment)?;
        // The debug file beside it, with its record of the build, too.
        for kind in ["img", "debug"] {
            let (first, second) = (fs::read(image.with_extension(kind))?, fs::read(other.with_extension(kind))?);
            let differ = first.iter().zip(&second).position(|(a, b)| a != b);
            ensure!(
                first == second,
                "{example}.{kind}: {} and {} bytes, differing at {differ:?}",
                first.len(),
                second.len()
            );
        }
    }
    Ok(())
}
