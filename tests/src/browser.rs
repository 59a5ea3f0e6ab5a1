//! A real browser without a window, which opens pages of ours and tells what it made of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;

use crate::harness::Verdict;

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Under these names distributions have it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What a page became.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The document at the end, as HTML.
    pub document: String,
    /// What the browser logged: what pages say on their console, errors of scripts, and what a policy has stopped.
    pub console: Vec<String>,
}

/// A browser, or why there is none. Where everything must be tried, its absence is an error.
pub fn find() -> Result<Result<PathBuf, Verdict>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name))).find(|p| p.is_file());
    match found {
        Some(browser) => Ok(Ok(browser)),
        None if std::env::var_os("CI").is_some_and(|ci| ci == "true") => bail!("no chromium, and CI tries everything"),
        None => Ok(Err(Verdict::Skipped("no chromium; apt-get install chromium".into()))),
    }
}

/// Opens a page of a file, in the colours of the night or of the day, and waits until its scripts have run.
pub fn open(browser: &Path, page: &Path, is_dark: bool) -> Result<Opened> {
    let profile = page.with_extension(if is_dark { "profile-dark" } else { "profile-light" });
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--window-size=1400,1000"]);
    command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!is_dark)));
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.arg("--dump-dom").arg(format!("file://{}", page.display()));
    let (document, log) = (page.with_extension("dom"), page.with_extension("log"));
    // Into files, so that it can be ended if it hangs.
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&document)?).stderr(std::fs::File::create(&log)?);
    let mut child = command.spawn().context("cannot start the browser")?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                bail!("the browser hangs:\n{}", std::fs::read_to_string(&log)?);
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let log = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    if !status.success() {
        bail!("the browser fails: {status}\n{log}");
    }
    let console = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    Ok(Opened { document: std::fs::read_to_string(&document)?, console })
}

/// What a probe's page has found: the JSON that it leaves, in base64, in its element `result`. Nothing may be on its console.
pub fn probed(browser: &Path, page: &Path, is_dark: bool) -> Result<serde_json::Value> {
    let opened = open(browser, page, is_dark)?;
    ensure!(opened.console.is_empty(), "the browser complains: {:#?}", opened.console);
    let result = opened.document.split_once("<pre id=\"result\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (result, _) = result.context("the probe is gone")?;
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(result).with_context(|| format!("it found {result}"))?;
    Ok(serde_json::from_slice(&bytes)?)
}
