//! A command as the page has it, and as it is typed: with other ports, and with the tree's examples wherever the reader is.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use super::{Known, tree};
use crate::backend::Backend;
use crate::ports;

/// The port that the book's servers listen at.
const USUAL: u16 = 8080;
/// Programs that a computer may lack. Under CI none is missing.
const PROGRAMS: [&str; 2] = ["curl", "ssh-keygen"];

/// Ports of the book, each with the one that is used instead.
#[derive(Debug, Default)]
pub(super) struct Ports(Vec<(u16, u16)>);

impl Ports {
    /// The one that is used instead of a port of the book.
    fn instead_of(&mut self, port: u16) -> Result<u16> {
        if let Some((_, free)) = self.0.iter().find(|(known, _)| *known == port) {
            return Ok(*free);
        }
        let free = ports::free_tcp()?;
        self.0.push((port, free));
        Ok(free)
    }

    /// What a command printed, with the book's ports.
    pub(super) fn undone(&self, output: &str) -> String {
        let replace = |text: String, (port, free): &(u16, u16)| text.replace(&format!(":{free}"), &format!(":{port}"));
        self.0.iter().fold(output.to_owned(), replace)
    }

    /// The command as it is typed.
    pub(super) fn applied(&mut self, command: &str, is_background: bool) -> Result<String> {
        let mut command = own_examples(command);
        let is_server = is_background || words(&command).any(|word| word == "--detach");
        if is_server && !command.contains("--publish ") {
            let free = self.instead_of(USUAL)?;
            let at = ["-- run ", "ampoule run "].iter().find_map(|run| Some(command.find(run)? + run.len()));
            let at = at.with_context(|| format!("`{command}` stays, but it runs no machine"))?;
            command.insert_str(at, &format!("--publish {free}:{USUAL} "));
        } else if is_server {
            command = self.published(&command)?;
        }
        // Port 80 is the one that an address may leave out.
        for (port, free) in &self.0 {
            command = replace_port(&command, *port, *free);
        }
        Ok(command)
    }

    /// With other ports behind `--publish`, which takes `PORT[:GUEST-PORT]` here.
    fn published(&mut self, command: &str) -> Result<String> {
        let mut parts = command.split("--publish ");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (value, rest) = part.split_at(part.find(' ').unwrap_or(part.len()));
            let (port, guest) = value.split_once(':').unwrap_or((value, value));
            let port = port.parse().with_context(|| format!("`--publish {value}` is none that the test can change"))?;
            out += &format!("--publish {}:{guest}{rest}", self.instead_of(port)?);
        }
        Ok(out)
    }
}

/// `127.0.0.1:8080`, with another port.
fn replace_port(command: &str, port: u16, free: u16) -> String {
    let (from, to) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{free}"));
    let mut parts = command.split(&from).peekable();
    let mut out = String::new();
    while let Some(part) = parts.next() {
        out += part;
        if let Some(next) = parts.peek() {
            out += if next.starts_with(|c: char| c.is_ascii_digit()) { &from } else { &to };
        }
    }
    match port {
        80 => out.replace("http://127.0.0.1/", &format!("http://{to}/")),
        _ => out,
    }
}

/// With the places of the tree's examples.
fn own_examples(command: &str) -> String {
    let with_place = |word: &str| match word.strip_prefix("examples/") {
        Some(_) => tree().join(word).display().to_string(),
        None => word.to_owned(),
    };
    command.split(' ').map(with_place).collect::<Vec<_>>().join(" ")
}

/// The examples of the tree that a command names.
pub(super) fn examples(command: &str) -> impl Iterator<Item = &str> {
    words(command).filter(|word| word.starts_with("examples/"))
}

fn words(command: &str) -> impl Iterator<Item = &str> {
    command.split_whitespace()
}

/// Why the command cannot be run on this computer, if so.
pub(super) fn lacks(command: &str) -> Option<String> {
    for (flag, backend) in [("--on kvm", Backend::Kvm), ("--on qemu", Backend::Microvm)] {
        if command.contains(flag)
            && let Some(reason) = backend.lacks()
        {
            return Some(reason);
        }
    }
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |program: &str| std::env::split_paths(&path).any(|folder: PathBuf| folder.join(program).is_file());
    let missing = PROGRAMS.iter().find(|program| words(command).any(|word| word == **program) && !is_here(program));
    missing.filter(|_| !is_ci).map(|program| format!("no {program} here"))
}

/// Fails where a command that is not run cannot be right: a command line that the tool or xtask refuses.
pub(super) fn check(command: &str) -> Result<()> {
    let known = Known::find()?;
    for part in command.split("&&").flat_map(|part| part.split('|')) {
        let words: Vec<&str> = words(part.split_once(" > ").map_or(part, |(part, _)| part)).collect();
        let words = if words.first() == Some(&"sudo") { &words[1..] } else { &words[..] };
        match words {
            ["ampoule", ..] => {
                if let Err(error) = ampoule_cli::arguments::Arguments::try_parse_from(words)
                    && error.use_stderr()
                {
                    bail!("`{part}`: {error}");
                }
            }
            ["cargo", "xtask", rest @ ..] => known.xtask(rest)?,
            _ => {}
        }
    }
    ensure!(!command.is_empty(), "an empty command");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_changed_and_changed_back() {
        let mut ports = Ports(vec![(8080, 41000), (80, 41001)]);
        let mut applied = |command: &str, stays| ports.applied(command, stays).expect("understood");
        assert_eq!(applied("ampoule run web.img", true), "ampoule run --publish 41000:8080 web.img");
        assert_eq!(applied("ampoule run a.img --detach", false), "ampoule run --publish 41000:8080 a.img --detach");
        assert_eq!(applied("ampoule run a.img --publish 80:8080", true), "ampoule run a.img --publish 41001:8080");
        assert_eq!(applied("curl http://127.0.0.1:8080/a", false), "curl http://127.0.0.1:41000/a");
        assert_eq!(applied("curl http://127.0.0.1:80805/", false), "curl http://127.0.0.1:80805/");
        assert_eq!(applied("curl http://127.0.0.1/", false), "curl http://127.0.0.1:41001/");
        assert!(ports.applied("sleep 5", true).is_err());
        assert_eq!(ports.undone("listening on http://127.0.0.1:41000/"), "listening on http://127.0.0.1:8080/");
    }

    #[test]
    fn command_lines_that_nobody_takes_are_found() {
        for right in
            ["ampoule run web.img --on kvm", "sudo ip link set tap0 up", "ampoule ps | cat", "cargo xtask bench"]
        {
            assert!(check(right).is_ok(), "{right}");
        }
        for wrong in ["ampoule rnu", "ampoule run web.img --vcpus 4", "cargo xtask tset", "cargo xtask bench hhtp"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
