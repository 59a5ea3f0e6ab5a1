//! The benchmark's pictures in a real browser, by day and by night: everything within its frame, nothing over anything else,
//! and colours that can be told from the paper (WCAG 2.2 §1.4.3: 4.5 to 1 for text; §1.4.11: 3 to 1 for the rest).

use std::fs;

use ampoule_tests::browser;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};
use bench::report::{self, FOLDER, RESULTS};
use bench::results::Results;
use serde_json::Value;

/// A page that measures the pictures in it, and writes what it found.
const PROBE: &str = include_str!("charts.html");
/// Of text and of bars against the paper.
const TEXT: f64 = 4.5;
const BAR: f64 = 3.0;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("bench's pictures of made-up results in a browser", || look("example", &report::example::results())),
        Case::new("bench's committed pictures in a browser", || {
            look("committed", &Results::load(&tool::root().join("docs").join(FOLDER).join(RESULTS))?)
        }),
    ]
}

fn look(name: &str, results: &Results) -> Result<Verdict> {
    let chromium = match browser::find()? {
        Ok(chromium) => chromium,
        Err(skipped) => return Ok(skipped),
    };
    let pictures: Vec<String> =
        report::files(results).into_iter().filter(|(name, _)| name.ends_with(".svg")).map(|(_, text)| text).collect();
    ensure!(!pictures.is_empty(), "there are no pictures");
    let folder = std::env::temp_dir().join(format!("ampoule-charts-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let page = folder.join("charts.html");
    fs::write(&page, PROBE.replace("PICTURES", &pictures.concat()))?;
    let looked = [false, true].map(|is_dark| browser::probed(&chromium, &page, is_dark));
    fs::remove_dir_all(&folder)?;
    let [day, night] = looked;
    let (day, night) = (day?, night?);
    let list = |found: &Value| found.as_array().cloned().context("the probe found no list");
    let (day, night) = (list(&day)?, list(&night)?);
    ensure!(day.len() == pictures.len() && night.len() == pictures.len(), "{} of {}", day.len(), pictures.len());
    for (time, all) in [("day", &day), ("night", &night)] {
        for picture in all {
            check(picture).with_context(|| format!("{}, by {time}", picture["title"]))?;
        }
    }
    ensure!(day.iter().zip(&night).all(|(day, night)| day["paper"] != night["paper"]), "day and night look alike");
    Ok(Verdict::Passed)
}

fn check(picture: &Value) -> Result<()> {
    for wrong in ["outside", "overlaps"] {
        ensure!(picture[wrong].as_array().is_some_and(Vec::is_empty), "{wrong}: {}", picture[wrong]);
    }
    ensure!(picture["names"] == serde_json::json!(["title", "desc"]), "it is not named: {}", picture["names"]);
    ensure!(picture["description"].as_str().is_some_and(|text| text.len() > 60), "it is not described");
    ensure!(picture["texts"].as_u64().is_some_and(|texts| texts >= 4), "{} texts", picture["texts"]);
    let contrast = |name: &str| picture[name].as_f64().unwrap_or_default();
    ensure!(contrast("text_contrast") >= TEXT, "text: {:.2} to 1", contrast("text_contrast"));
    ensure!(contrast("bar_contrast") >= BAR, "bars: {:.2} to 1", contrast("bar_contrast"));
    Ok(())
}
