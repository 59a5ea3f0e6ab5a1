//! What goes wrong is said plainly, with the remedy, and nothing hangs.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::{Machine, PATIENCE};
use ampoule_tests::{ports, tool};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{everywhere, on};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        on(Backend::Process, "port in use", port_in_use),
        on(Backend::Process, "damaged images", damaged_images),
        on(Backend::Process, "second interrupt", second_interrupt),
        on(Backend::Kvm, "damaged images", damaged_images),
        on(Backend::Kvm, "second interrupt", second_interrupt),
        on(Backend::Kvm, "port in use", port_in_use),
    ];
    for backend in [Backend::Microvm, Backend::Q35] {
        cases.push(on(backend, "a report and its status while the tool stands still", stands_still));
    }
    cases.extend(everywhere("what ring 3 may not do", forbidden));
    cases.extend(everywhere("a backtrace whose debug file does not help", nameless));
    cases.extend(everywhere("too little memory", too_little_memory));
    cases.extend(everywhere("a program that only prints is stopped", only_prints));
    cases
}

fn port_in_use(backend: Backend) -> Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port();
    let machine = Machine::start(&tool::image("examples/web")?, backend, &["--publish", &format!("{port}:8080")])?;
    let in_use = format!("port {port}");
    machine.end()?.with_status(1)?.with_text(&[&in_use, "in use", "--publish", "Address"]).map(drop)
}

/// Offsets, and why they have no names: the file is missing, or another image's.
fn nameless(backend: Backend) -> Result<()> {
    let image = tool::image("examples/panic")?;
    let folder = image.with_file_name(format!("nameless-{backend}"));
    fs::create_dir_all(&folder)?;
    let (copy, debug) = (folder.join("panic.img"), folder.join("panic.debug"));
    fs::copy(&image, &copy)?;
    _ = fs::remove_file(&debug);
    let missing = ["ampoule: no names: ", "panic.debug: No such file", "image+0x"];
    Machine::start(&copy, backend, &[])?.end()?.with_status(134)?.with_text(&missing)?;
    fs::copy(tool::image("examples/hello")?.with_extension("debug"), &debug)?;
    let other = ["ampoule: no names: ", "panic.debug: this debug file belongs to another image", "image+0x"];
    let end = Machine::start(&copy, backend, &[])?.end()?.with_status(134)?.with_text(&other)?;
    let said = end.errors.matches("no names").count();
    ensure!(said == 1, "it is said {said} times:\n{}", end.errors);
    Ok(())
}

fn too_little_memory(backend: Backend) -> Result<()> {
    let machine = Machine::start(&tool::image("examples/web")?, backend, &["--memory", "512K"])?;
    machine.end()?.with_status(1)?.with_text(&["--memory"]).map(drop)
}

/// Truncated, changed, or no image at all: status 2, and the file is named.
fn damaged_images(backend: Backend) -> Result<()> {
    let image = tool::image("examples/hello")?;
    let folder = image.with_file_name("damaged");
    fs::create_dir_all(&folder)?;
    let good = fs::read(&image)?;
    let mut changed = good.clone();
    if let Some(byte) = changed.get_mut(good.len() / 2) {
        *byte ^= 1;
    }
    let files: [(&str, &[u8]); 5] = [
        ("empty.img", b""),
        ("text.img", b"This is no image.\n"),
        ("short.img", &good[..good.len() / 2]),
        ("shorter.img", &good[..100]),
        ("changed.img", &changed),
    ];
    for (name, bytes) in files {
        let file = folder.join(name);
        fs::write(&file, bytes)?;
        Machine::start(&file, backend, &[])?.end()?.with_status(2)?.with_text(&["error: ", name])?;
    }
    Ok(())
}

/// Whatever a program tries that is not ring 3's to do, the machine ends with a report of it.
fn forbidden(backend: Backend) -> Result<()> {
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/forbidden", &[], &abort)?;
    for number in 0.. {
        let end = Machine::start(&image, backend, &["--", &number.to_string()])?.end()?;
        if end.status == 4 {
            ensure!(number > 20, "only {number} attempts are there");
            return Ok(());
        }
        end.with_fault().with_context(|| format!("attempt {number}"))?;
    }
    Ok(())
}

/// The status comes last on QEMU's serial line, and its last bytes may still be inside the port when the machine ends:
/// that is so where a reader who stands still has let the socket between fill up just before.
fn stands_still(backend: Backend) -> Result<()> {
    const END: usize = "\x1eexit 200\n".len();
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/attacks", &[], &abort)?;
    let room = room()?;
    for length in room - END - 1..room - END + 4 {
        let machine = Machine::start(&image, backend, &["--", "gate-log", &length.to_string()])?;
        let children = format!("/proc/{0}/task/{0}/children", machine.process());
        let deadline = Instant::now() + PATIENCE;
        while fs::read_to_string(&children)?.is_empty() {
            ensure!(Instant::now() < deadline, "the tool starts no QEMU");
            thread::sleep(Duration::from_millis(1));
        }
        machine.signal(Signal::STOP)?;
        thread::sleep(Duration::from_secs(1));
        machine.signal(Signal::CONT)?;
        let end = machine.end()?.with_status(200)?;
        let shown = end.all().matches('t').count();
        ensure!(shown == length, "{shown} bytes of {length} were shown");
    }
    Ok(())
}

/// How many single bytes a socket takes before they are read.
fn room() -> Result<usize> {
    let (mut near, _far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    let mut count = 0;
    while near.write(b"t").is_ok() {
        count += 1;
    }
    Ok(count)
}

/// It never waits, so nothing but the request itself can bring it to look.
fn only_prints(backend: Backend) -> Result<()> {
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/prints", &[], &abort)?;
    let mut machine = Machine::start(&image, backend, &["--publish", "0:7007", "--", "4000000000"])?;
    machine.expect("line 0001000")?;
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(143).map(drop)
}

/// A guest that takes its time to stop is ended at once by a second interrupt.
fn second_interrupt(backend: Backend) -> Result<()> {
    let port = ports::free_tcp()?;
    let image = tool::image("examples/web")?;
    let mut machine = Machine::start(&image, backend, &["--publish", &format!("{port}:8080")])?;
    machine.expect("serving on")?;
    // A request that never ends keeps the graceful shutdown waiting.
    let mut stream = crate::http::connect(port)?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n")?;
    crate::http::Client::connect(port)?.get("/healthz")?;
    machine.signal(Signal::INT)?;
    // Two signals that nobody has looked at yet are one (signal(7)), so the first must have arrived: the server then
    // listens no more.
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
        ensure!(Instant::now() < deadline, "the first interrupt does not stop the server from listening");
        thread::sleep(Duration::from_millis(10));
    }
    machine.signal(Signal::INT)?;
    machine.end().map(drop)
}
