//! From the start of a program to a line that it writes.

use crate::command::Running;
use anyhow::{Context, Result, bail};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take until it has written the line.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may then take until it has ended by itself.
const END: Duration = Duration::from_secs(10);

/// Starts `command` and gives the milliseconds until `words` have come on its standard output. It is a program that ends by
/// itself, and has ended afterwards.
pub fn measure(command: &mut Command, words: &'static str) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let mut running = Running(child);
    let output = running.0.stdout.take().context("the child has no standard output")?;
    let (said, heard) = mpsc::channel();
    let reader = thread::spawn(move || {
        let text = listen(output, words, || _ = said.send(Instant::now()));
        String::from_utf8_lossy(&text).into_owned()
    });
    let at = heard.recv_timeout(PATIENCE);
    if at.is_ok() {
        running.end_within(END).context("after its line the program")?;
    }
    drop(running);
    let text = reader.join().unwrap_or_default();
    match at {
        Ok(at) => Ok((at - start).as_secs_f64() * 1e3),
        Err(_) => bail!("{command:?} has not written `{words}`, but `{}`", text.trim()),
    }
}

/// Reads to the end; tells when the words have come.
fn listen(mut output: impl Read, words: &str, mut tell: impl FnMut()) -> Vec<u8> {
    let (mut text, mut is_there) = (Vec::new(), false);
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = output.read(&mut piece) {
        text.extend_from_slice(&piece[..length]);
        if !is_there && text.windows(words.len()).any(|window| window == words.as_bytes()) {
            is_there = true;
            tell();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::measure;
    use std::process::Command;

    #[test]
    fn only_the_words_count() {
        let shell = |script: &str| measure(Command::new("sh").args(["-c", script]), "ready");
        assert!(shell("echo early; sleep 0.2; echo ready").expect("it comes") >= 200.0);
        let error = shell("echo something else").expect_err("it never comes");
        assert!(error.to_string().contains("but `something else`"), "{error}");
    }
}
