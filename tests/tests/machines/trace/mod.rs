//! `run --trace`: what it shows is what the program did, on every backend and however the library OS got in; what strace
//! shows of the same program on Linux; whole lines, to the last one, whatever ends the machine.

mod lines;
mod linux;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ampoule_tests::backend::Backend;
use ampoule_tests::guests::{Guest, Way};
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::{End, Machine, PATIENCE};
use ampoule_tests::{ports, tool};
use anyhow::{Context, Result, ensure};
use lines::Line;
use rustix::process::Signal;

use crate::http::Client;
use crate::{everywhere, on};

/// What the guest `traced` does, thread by thread. How often a futex is called is a matter of time.
const EXPECTED: &str = include_str!("traced.txt");
const WHAT: &str = "--trace=!futex";
/// How often the many threads run.
const RUNS: [(Backend, usize); 4] =
    [(Backend::Process, 100), (Backend::Kvm, 20), (Backend::Microvm, 2), (Backend::Q35, 2)];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = everywhere("a trace of a known list", known_list)
        .chain(everywhere("a trace to the end", ends))
        .chain(everywhere("a trace of a panic", panics))
        .chain(everywhere("a trace of web", web))
        .chain(everywhere("a trace of an image that is not traced", refused))
        .chain(everywhere("a trace that cannot be written", unwritable))
        .collect();
    cases.push(on(Backend::Process, "a trace of a known list by libc.a", |b| known_list_by(Way::Archive, b)));
    cases.push(Case::new("a trace as strace has it", || match linux::lacks() {
        Some(reason) => Ok(Verdict::Skipped(reason)),
        None => linux::compare(Backend::Process).map(|()| Verdict::Passed),
    }));
    cases.push(on(Backend::Process, "a trace of some calls", filtered));
    cases.push(on(Backend::Process, "a traced image without a trace", untraced));
    cases.extend(RUNS.map(|(backend, runs)| on(backend, "a trace of many threads", move |b| threads(b, runs))));
    cases
}

fn guest(name: &str) -> Result<Guest> {
    Guest::all()?.into_iter().find(|guest| guest.name == name).with_context(|| format!("there is no {name}"))
}

/// Runs an image with more arguments, and its trace in a file: how it ended, and the lines.
fn traced(image: &Path, backend: Backend, arguments: &[&str]) -> Result<(End, Vec<Line>)> {
    let file = trace_file(image, backend, arguments);
    let machine = Machine::start(image, backend, &[&["--trace-file", &file.to_string_lossy()], arguments].concat())?;
    let end = machine.end()?;
    let lines = read(&file, &end)?;
    Ok((end, lines))
}

fn trace_file(image: &Path, backend: Backend, arguments: &[&str]) -> PathBuf {
    let what: String = arguments.concat().chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    image.with_extension(format!("{backend}-{what}.trace"))
}

/// The lines of a trace whose last one has the status that the tool ended with.
fn read(file: &Path, end: &End) -> Result<Vec<Line>> {
    let trace = fs::read_to_string(file).with_context(|| format!("{}: {}", file.display(), end.all()))?;
    let (lines, status) = lines::parse(&trace)?;
    ensure!(status == end.status, "it ended with {}, and the trace says {status}", end.status);
    Ok(lines)
}

fn known_list(backend: Backend) -> Result<()> {
    known_list_by(Way::Line, backend)
}

fn known_list_by(way: Way, backend: Backend) -> Result<()> {
    let (end, lines) = traced(&guest("guest-traced")?.traced_image(way)?, backend, &[WHAT])?;
    let end = end.with_status(0)?.with_text(&["all of it was done"])?;
    ensure!(!end.all().contains("epoll_create1"), "the trace is not in the file alone:\n{}", end.all());
    let found = lines::stable(&lines);
    let other = found.lines().zip(EXPECTED.lines()).find(|(found, expected)| found != expected);
    ensure!(other.is_none() && found.len() == EXPECTED.len(), "first of all {other:?}, in all:\n{found}");
    Ok(())
}

/// Ways to end, the status of each, and how the last line of the thread begins whose end it is.
const ENDS: [(&str, i32, &str); 5] = [
    ("exit", 0, "exit(0) = ?"),
    ("raise", 143, "raise(SIGTERM <unfinished ...>"),
    ("abort", 134, "abort() = ?"),
    ("panic", 134, "abort() = ?"),
    ("fault", 139, "read("),
];

/// A call that goes on when the machine ends, and everything before.
fn ends(backend: Backend) -> Result<()> {
    let image = guest("guest-traced")?.traced_image(Way::Line)?;
    for (way, status, last) in ENDS {
        let (end, lines) = traced(&image, backend, &["--trace=file,desc,signal,process", "--", way])?;
        end.with_status(status)?;
        check_end(&lines).with_context(|| format!("by {way}"))?;
        let first = lines.iter().rfind(|line| line.thread == lines[0].thread).context("a first thread")?;
        ensure!(first.text.starts_with(last), "by {way}: {first:?}");
    }
    // From outside.
    let file = trace_file(&image, backend, &["wait"]);
    let arguments = ["--trace", "--trace-file", &file.to_string_lossy(), "--", "wait"];
    let mut machine = Machine::start(&image, backend, &arguments)?;
    machine.expect("all of it was done")?;
    // The call has begun when the first byte of what it writes is read, which the program waits for without saying so.
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(&file)?.contains("read(3, \".\", 1) = 1") {
        ensure!(Instant::now() < deadline, "it does not come to its end: {}", machine.said());
        std::thread::yield_now();
    }
    machine.signal(Signal::INT)?;
    check_end(&read(&file, &machine.end()?.with_status(130)?)?)
}

/// Is the call that never ends told, with everything before it?
fn check_end(lines: &[Line]) -> Result<()> {
    let of = |text: &str| lines.iter().filter(|line| line.text.starts_with(text)).count();
    let unfinished: Vec<&Line> = lines.iter().filter(|line| line.text.ends_with("1048576 <unfinished ...>")).collect();
    ensure!(unfinished.len() == 1 && unfinished[0].text.starts_with("write(5, \"....."), "{lines:#?}");
    ensure!(of("mkdir(") == 1 && of("write(1, \"all of it was done") == 1, "{lines:#?}");
    Ok(())
}

fn panics(backend: Backend) -> Result<()> {
    let image = tool::image_with("examples/panic", &["--trace"], &[])?;
    let (end, lines) = traced(&image, backend, &["--trace"])?;
    end.with_status(134)?.with_text(&["thread 'main'", "panicked at"])?;
    let says = |line: &Line| line.text.starts_with("write(2, \"\\nthread 'main'");
    ensure!(lines.iter().any(says), "it does not say what it died of: {lines:?}");
    ensure!(lines.last().is_some_and(|line| line.text == "abort() = ?"), "{lines:?}");
    Ok(())
}

fn web(backend: Backend) -> Result<()> {
    let (port, image) = (ports::free_tcp()?, tool::image_with("examples/web", &["--trace"], &[])?);
    let file = trace_file(&image, backend, &[]);
    let publish = format!("{port}:8080");
    let arguments = ["--trace=net,desc", "--publish", &publish, "--trace-file", &file.to_string_lossy()];
    let mut machine = Machine::start(&image, backend, &arguments)?;
    machine.expect("serving on")?;
    ensure!(Client::connect(port)?.get("/healthz")?.status == 200);
    machine.signal(Signal::TERM)?;
    let end = machine.end()?.with_status(0)?;
    let lines = read(&file, &end)?;
    let mut rest = lines.iter();
    for call in ["bind(", "listen(", "accept4(", "recv(", "writev("] {
        let found = rest.by_ref().find(|line| line.text.starts_with(call) && !line.result().starts_with('E'));
        let line = found.with_context(|| format!("no {call} where it should be: {lines:#?}"))?;
        let text = match call {
            "bind(" => "sin_port=htons(8080)",
            "recv(" => "\"GET /healthz HTTP/1.1",
            "writev(" => "\"HTTP/1.1 200 OK",
            _ => "",
        };
        ensure!(line.text.contains(text), "{line:?}");
    }
    Ok(())
}

fn filtered(backend: Backend) -> Result<()> {
    let image = guest("guest-traced")?.traced_image(Way::Line)?;
    let names = |what: &str| -> Result<Vec<String>> {
        let (end, lines) = traced(&image, backend, &[what])?;
        end.with_status(0)?;
        let mut names: Vec<String> = lines.iter().map(|line| line.name().to_owned()).collect();
        names.retain(|name| !name.starts_with("--- "));
        names.sort();
        names.dedup();
        Ok(names)
    };
    ensure!(names("--trace=lseek,time")? == ["lseek", "nanosleep"]);
    ensure!(names("--trace=memory")? == ["mmap", "mprotect", "munmap"]);
    let net = ["accept4", "bind", "connect", "getsockname", "listen", "recv", "recvfrom", "send", "sendto"];
    ensure!(names("--trace=net")? == [&net[..], &["setsockopt", "shutdown", "socket", "socketpair"]].concat());
    let heap = names("--trace=heap")?;
    ensure!(["malloc", "free", "realloc"].iter().all(|name| heap.contains(&(*name).to_owned())), "{heap:?}");
    let most = names("--trace=!net,!read")?;
    ensure!(most.contains(&"write".into()) && !most.contains(&"read".into()) && !most.contains(&"bind".into()));
    let unknown = Machine::start(&image, backend, &["--trace=net,opne"])?.end()?.with_status(2)?;
    unknown.with_text(&["\"opne\"", "the families are file, desc, net"]).map(drop)
}

/// To standard error, where no file is named; without `--trace` nothing is told, and the program finds what it always does.
fn untraced(backend: Backend) -> Result<()> {
    let image = tool::image_with("examples/hello", &["--trace"], &[])?;
    let end = Machine::start(&image, backend, &["--trace"])?.end()?.with_status(0)?;
    let inspected = Command::new(tool::tool()?).arg("inspect").arg(&image).output()?.stdout;
    ensure!(String::from_utf8_lossy(&inspected).contains("traced  its calls can be shown"), "inspect does not say it");
    let (lines, _) = lines::parse(&end.errors)?;
    ensure!(lines.iter().any(|line| line.text == r#"write(1, "Hello from a sealed machine!\n", 29) = 29"#));
    ensure!(end.output == "Hello from a sealed machine!\n", "{:?}", end.output);
    let end = Machine::start(&image, backend, &[])?.end()?.with_status(0)?;
    ensure!(end.output == "Hello from a sealed machine!\n" && end.errors.is_empty(), "{end:?}");
    let args = guest("guest-args")?.traced_image(Way::Line)?;
    let seen = |arguments: &[&str]| Ok(Machine::start(&args, backend, arguments)?.end()?.output) as Result<String>;
    ensure!(seen(&[])? == seen(&["--trace=net"])?, "the trace changes what the program is given");
    let given = seen(&["--", "0", "AMPOULE_TRACE=all"])?;
    ensure!(given.contains("AMPOULE_TRACE=all"), "an argument is hidden as if it were the entry: {given}");
    Ok(())
}

fn refused(backend: Backend) -> Result<()> {
    let end = Machine::start(&tool::image("examples/hello")?, backend, &["--trace"])?.end()?.with_status(2)?;
    ensure!(end.output.is_empty(), "it has run: {}", end.output);
    end.with_text(&["hello.img: the image was not built to be traced", "`ampoule build --trace`"]).map(drop)
}

/// Said before the machine starts, or where that cannot be known, as soon as it is; then the program goes on.
fn unwritable(backend: Backend) -> Result<()> {
    let image = tool::image_with("examples/hello", &["--trace"], &[])?;
    let file = image.join("trace");
    let end = Machine::start(&image, backend, &["--trace", "--trace-file", &file.to_string_lossy()])?.end()?;
    ensure!(end.output.is_empty(), "it has run: {}", end.output);
    end.with_status(2)?.with_text(&["cannot write the trace to ", "Not a directory"])?;
    let end = Machine::start(&image, backend, &["--trace", "--trace-file", "/dev/full"])?.end()?.with_status(0)?;
    ensure!(end.errors.matches("the trace ends here, it cannot be written").count() == 1, "{}", end.errors);
    end.with_text(&["Hello from a sealed machine!"]).map(drop)
}

/// Every line is whole, and none is missing.
fn threads(backend: Backend, runs: usize) -> Result<()> {
    let image = guest("guest-traced-threads")?.traced_image(Way::Line)?;
    for run in 0..runs {
        let (end, lines) = traced(&image, backend, &["--trace=write,sched_yield"])?;
        end.with_status(0)?;
        let mut texts: Vec<&str> =
            lines.iter().filter(|l| l.text.contains("thread ")).map(|l| l.text.as_str()).collect();
        // Descriptors differ.
        texts.sort_by_key(|text| text.split_once('"').map(|(_, rest)| rest));
        ensure!(texts.len() == 16 * 50, "{} lines in run {run}", texts.len());
        for (at, text) in texts.iter().enumerate() {
            let expected = format!("\"thread {:02} line {:03}\", 18) = 18", at / 50, at % 50);
            ensure!(text.starts_with("write(") && text.ends_with(&expected), "{text} in run {run}");
        }
    }
    Ok(())
}
