//! `[package.metadata.ampoule]`, key by key, each with the place where it stands.

use std::ops::Range;

use abi::PAGE_SIZE;
use abi::manifest::{Known, Manifest, Names, Network};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{FileRule, LEAST_MEMORY, LEAST_STACK, MOST_MEMORY, Problem, files, network};
use crate::build::program::EXAMPLE;
use crate::size::{self, Size};

const SECTION: &str = "package.metadata.ampoule";
const KEYS: &str = "`args`, `env`, `files`, `memory`, `net`, `program`, `stack`";
const NET_KEYS: &str = "`connect`, `hosts`, `listen`, `search`";

/// A problem and its place.
pub(super) struct Fault {
    /// Bytes from the start of the text.
    pub(super) offset: usize,
    /// The key, with dots.
    pub(super) key: String,
    /// What is wrong.
    pub(super) problem: Problem,
}

type Value<'i> = Spanned<DeValue<'i>>;

/// Fills `manifest` from the text of a Cargo.toml.
pub(super) fn read(text: &str, manifest: &mut Manifest) -> Result<(), Fault> {
    let document = document(text)?;
    let Some(section) = find(document.get_ref()) else { return Ok(()) };
    let table = as_table(section, SECTION)?;
    let mut stack = None;
    for (name, value) in table {
        let key = format!("{SECTION}.{}", name.get_ref());
        match name.get_ref().as_ref() {
            "memory" => manifest.memory = memory(&key, value)?,
            "stack" => stack = Some((key, value)),
            "args" => manifest.arguments = strings(&key, value, |_, text| plain(text))?,
            "env" => manifest.environment = environment(&key, value)?,
            "files" => drop(files(&key, value, text)?),
            "net" => net(&key, value, manifest)?,
            "program" => program(&key, value)?,
            _ => return Err(fault(name.span(), key, Problem::UnknownKey(KEYS.into()))),
        }
    }
    if let Some((key, value)) = stack {
        manifest.stack = self::stack(&key, value, manifest.memory)?;
    }
    Ok(())
}

/// Which files the text of a Cargo.toml seals.
pub(super) fn read_files(text: &str) -> Result<Vec<FileRule>, Fault> {
    let document = document(text)?;
    let Some(section) = find(document.get_ref()) else { return Ok(Vec::new()) };
    match as_table(section, SECTION)?.get("files") {
        Some(value) => files(&format!("{SECTION}.files"), value, text),
        None => Ok(Vec::new()),
    }
}

fn document(text: &str) -> Result<Spanned<DeTable<'_>>, Fault> {
    DeTable::parse(text).map_err(|error| Fault {
        offset: error.span().map_or(0, |span| span.start),
        key: String::new(),
        problem: Problem::Toml(error.message().to_owned()),
    })
}

fn files(key: &str, value: &Value<'_>, text: &str) -> Result<Vec<FileRule>, Fault> {
    let mut rules: Vec<FileRule> = Vec::new();
    for (name, value) in as_table(value, key)? {
        let key = format!("{key}.\"{}\"", name.get_ref());
        let host = as_text(value, &key)?;
        let rule = || {
            let rule = FileRule {
                line: super::line(text, name.span().start),
                key: key.clone(),
                guest: files::guest(name.get_ref())?,
                host: files::host(host)?,
            };
            // With and without a slash at its end it is the same path.
            match rules.iter().any(|other| other.guest == rule.guest) {
                true => Err(Problem::FilePath(rule.guest, "is there twice; leave one out")),
                false => Ok(rule),
            }
        };
        let rule = rule().map_err(|problem| fault(name.span(), key.clone(), problem))?;
        rules.push(rule);
    }
    rules.sort_by(|a, b| a.guest.cmp(&b.guest));
    Ok(rules)
}

/// Names, each with an address or an array of them.
fn hosts(key: &str, value: &Value<'_>) -> Result<Vec<Known>, Fault> {
    let mut all = Vec::new();
    for (name, value) in as_table(value, key)? {
        let key = format!("{key}.{}", name.get_ref());
        let known = network::name(name.get_ref()).map_err(|problem| fault(name.span(), key.clone(), problem))?;
        let addresses = match value.get_ref().as_str() {
            Some(text) => vec![network::address(text).map_err(|problem| fault(value.span(), key.clone(), problem))?],
            None => strings(&key, value, |_, text| network::address(text))?,
        };
        if addresses.is_empty() {
            return Err(fault(value.span(), key, Problem::NoAddress));
        }
        all.push(Known { name: known, addresses });
    }
    Ok(all)
}

/// `package.metadata.ampoule` of the document, if it is there.
fn find<'a, 'i>(document: &'a DeTable<'i>) -> Option<&'a Value<'i>> {
    let package = document.get("package")?.get_ref().as_table()?;
    package.get("metadata")?.get_ref().as_table()?.get("ampoule")
}

fn memory(key: &str, value: &Value<'_>) -> Result<u64, Fault> {
    let (bytes, given) = bytes(key, value)?;
    let reason = match bytes {
        0..LEAST_MEMORY => format!("no machine has less than {}", Size(LEAST_MEMORY)),
        LEAST_MEMORY..=MOST_MEMORY => return Ok(bytes),
        _ => format!("no machine has more than {}", Size(MOST_MEMORY)),
    };
    Err(fault(value.span(), key, Problem::ImpossibleSize { given, reason }))
}

fn stack(key: &str, value: &Value<'_>, memory: u64) -> Result<u64, Fault> {
    let (bytes, given) = bytes(key, value)?;
    let reason = if bytes < LEAST_STACK {
        format!("a stack has at least {}", Size(LEAST_STACK))
    } else if bytes > memory / 2 {
        format!("it is more than half of the memory, which is {}", Size(memory))
    } else {
        return Ok(bytes);
    };
    Err(fault(value.span(), key, Problem::ImpossibleSize { given, reason }))
}

/// A size in bytes, a whole number of pages, and the text it was given as.
fn bytes(key: &str, value: &Value<'_>) -> Result<(u64, String), Fault> {
    let given = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::String(text) => text.to_string(),
        other => return Err(wrong_type(value, key, "a size such as \"64M\"", other)),
    };
    let parsed = match value.get_ref() {
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| size::SizeError::Syntax)
        }
        _ => size::parse(&given),
    };
    match parsed {
        Ok(bytes) => Ok((bytes.checked_next_multiple_of(PAGE_SIZE).unwrap_or(u64::MAX), given)),
        Err(error) => Err(fault(value.span(), key, Problem::NoSize(given, error))),
    }
}

/// Another crate's program. What there is cargo knows (`build/program.rs`); here only the words count.
fn program(key: &str, value: &Value<'_>) -> Result<(), Fault> {
    let text = as_text(value, key)?;
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    let (krate, program) = text.split_once('/').unwrap_or((text, "any"));
    let program = program.strip_prefix(EXAMPLE).unwrap_or(program);
    match is_name(krate) && is_name(program) {
        true => Ok(()),
        false => Err(fault(value.span(), key, Problem::Program(text.to_owned()))),
    }
}

fn environment(key: &str, value: &Value<'_>) -> Result<Vec<String>, Fault> {
    let mut entries = Vec::new();
    for (name, value) in as_table(value, key)? {
        let text = as_text(value, &format!("{key}.{}", name.get_ref()))?;
        let problem = match name.get_ref() {
            name if name.is_empty() || name.contains('=') => Err(Problem::EnvironmentName),
            name => plain(name).and(plain(text)),
        };
        problem.map_err(|problem| fault(name.span(), format!("{key}.{}", name.get_ref()), problem))?;
        entries.push(format!("{}={text}", name.get_ref()));
    }
    Ok(entries)
}

fn net(key: &str, value: &Value<'_>, manifest: &mut Manifest) -> Result<(), Fault> {
    let mut rules = Network::default();
    let mut names = Names::default();
    for (name, value) in as_table(value, key)? {
        let key = format!("{key}.{}", name.get_ref());
        match name.get_ref().as_ref() {
            "listen" => rules.listen = strings(&key, value, |_, text| network::listen(text))?,
            "connect" => rules.connect = strings(&key, value, |_, text| network::connect(text))?,
            "hosts" => names.hosts = hosts(&key, value)?,
            "search" => names.search = strings(&key, value, |_, text| network::name(text))?,
            _ => return Err(fault(name.span(), key, Problem::UnknownKey(NET_KEYS.into()))),
        }
    }
    manifest.network = Some(rules);
    manifest.names = Some(names).filter(|names| *names != Names::default());
    Ok(())
}

/// An array of strings, each read by `read`.
fn strings<T>(key: &str, value: &Value<'_>, read: impl Fn(usize, &str) -> Result<T, Problem>) -> Result<Vec<T>, Fault> {
    let Some(array) = value.get_ref().as_array() else {
        return Err(wrong_type(value, key, "an array of strings", value.get_ref()));
    };
    let read_one = |(index, value): (usize, &Value<'_>)| {
        let key = format!("{key}[{index}]");
        let text = as_text(value, &key)?;
        read(index, text).map_err(|problem| fault(value.span(), key, problem))
    };
    array.iter().enumerate().map(read_one).collect()
}

/// A string that a program can be given.
fn plain(text: &str) -> Result<String, Problem> {
    if text.contains('\0') { Err(Problem::Nul) } else { Ok(text.to_owned()) }
}

fn as_text<'a>(value: &'a Value<'_>, key: &str) -> Result<&'a str, Fault> {
    value.get_ref().as_str().ok_or_else(|| wrong_type(value, key, "a string", value.get_ref()))
}

fn as_table<'a, 'i>(value: &'a Value<'i>, key: &str) -> Result<&'a DeTable<'i>, Fault> {
    value.get_ref().as_table().ok_or_else(|| wrong_type(value, key, "a table", value.get_ref()))
}

fn wrong_type(place: &Value<'_>, key: &str, expected: &'static str, found: &DeValue<'_>) -> Fault {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    fault(place.span(), key, Problem::WrongType { expected, found })
}

fn fault(place: Range<usize>, key: impl Into<String>, problem: Problem) -> Fault {
    Fault { offset: place.start, key: key.into(), problem }
}
