//! The seal, attacked: what each attack of `tests/guests/attacks` comes to on every backend.
//!
//! [`ATTACKS`] is the one place that says so. Each attack is a test on each backend, and `docs/security.md` shows the same
//! table: a test of its own fails where the two differ, and writes it afresh if `AMPOULE_BLESS` is set.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::{End, Machine};
use ampoule_tests::tool;
use anyhow::{Context, Result, bail, ensure};

use crate::on;

/// What an attack must come to.
#[derive(Clone, Copy)]
enum Must {
    /// A page fault: a report that names this access and the target's address, status 139.
    Fault(&'static str),
    /// A fault of the instruction itself: a report that names it and where it stands, status 139.
    Instruction(&'static str),
    /// A report with this text, and this status.
    Report(i32, &'static str),
    /// The gate, the library OS or the device refuses, and the guest goes on: status 0.
    Refused,
    /// A system call that the filter ends: status 159, and a report that says so.
    Filtered,
    /// The tender dies of what the guest has done to it: its parent says how, status 134 or 139.
    Broken,
    /// The guest's own status: what it asked for is nothing that the seal forbids.
    Status(i32),
    /// It goes through. A hole that is known and not closed; `docs/security.md` says why.
    Open,
}
use Must::{Broken, Fault, Filtered, Instruction, Open, Refused, Report, Status};

/// The attack in words, the guest's arguments, and what it must come to, or `None` where there is no such thing.
type Attack = (&'static str, &'static str, fn(Backend) -> Option<Must>);

const READ: fn(Backend) -> Option<Must> = |_| Some(Fault("read"));
const WRITE: fn(Backend) -> Option<Must> = |_| Some(Fault("write to"));
const EXECUTE: fn(Backend) -> Option<Must> = |_| Some(Fault("execute"));
const REFUSED: fn(Backend) -> Option<Must> = |_| Some(Refused);

/// The same instruction fault on all.
macro_rules! instruction {
    ($name:literal) => {
        |_| Some(Instruction($name))
    };
}

/// Backends of our own serve the rings that they have laid out; QEMU's devices check for themselves, and stay silent.
const RING: fn(Backend) -> Option<Must> =
    |backend| Some(if backend.has_frames() { Refused } else { Report(134, "the program broke a device's protocol") });

/// On a backend of ours a device writes to the arena only. QEMU's devices reach all of the machine's RAM.
const DEVICE_WRITE: fn(Backend) -> Option<Must> =
    |backend| Some(if backend.has_frames() { Open } else { Report(134, "lies outside the machine's arena") });

const ATTACKS: &[Attack] = &[
    ("write to the program's own text", "write text", WRITE),
    ("write to a constant", "write constants", WRITE),
    ("write to what was relocated (RELRO)", "write relro", WRITE),
    ("write to the image's header", "write header", WRITE),
    ("forge the boot information", "write boot", WRITE),
    ("write to the gate's code", "write gate", WRITE),
    ("run the stack", "run stack", EXECUTE),
    ("run the heap", "run heap", EXECUTE),
    ("run static data", "run data", EXECUTE),
    ("run a constant", "run constants", EXECUTE),
    ("run the last page of RAM", "run arena", EXECUTE),
    ("run the vCPU block", "run vcpu", EXECUTE),
    ("run the boot information", "run boot", EXECUTE),
    ("read page 0", "read page-0", READ),
    ("write page 0", "write page-0", WRITE),
    ("run page 0", "run page-0", EXECUTE),
    ("read beyond RAM", "read behind-ram", READ),
    ("jump into the guard page", "run guard", EXECUTE),
    ("write to the guard page", "write guard", WRITE),
    ("overflow a thread's stack", "overflow", |_| Some(Report(139, "thread 'digger' has overflowed its stack of"))),
    ("make a page writable and executable at once", "writable-code", EXECUTE),
    ("make it so in two steps", "writable-code-later", EXECUTE),
    ("map, unmap and protect the image", "over-the-image", WRITE),
    ("read the exokernel (physical 1 MiB)", "read 0x100000", READ),
    ("write to the exokernel", "write 0x100000", WRITE),
    ("jump into the exokernel", "run 0x100400", EXECUTE),
    ("read the page tables (low memory)", "read 0x1000", READ),
    ("write to the page tables", "write 0x9f000", WRITE),
    ("write to the interrupt controller", "write 0xfee00000", WRITE),
    ("read the kernel's half: physical memory", "read 0xffff888000000000", READ),
    ("run the kernel's half: text", "run 0xffffffff81000000", EXECUTE),
    ("read an address that is none (not canonical)", "read 0x800000000000", |_| {
        Some(Report(139, "broke a protection rule (bytes"))
    }),
    // As a process on Linux `sgdt` is allowed or pretended (UMIP); then there is an address to write to.
    ("find the descriptor tables and write to them", "tables", |backend| {
        Some(if backend == Backend::Process { Fault("write to") } else { Instruction("sgdt") })
    }),
    ("`cli`", "instruction cli", instruction!("cli")),
    ("`hlt`", "instruction hlt", instruction!("hlt")),
    ("`mov` from CR3", "instruction read-cr3", instruction!("mov cr3")),
    ("`mov` to CR3", "instruction write-cr3", instruction!("mov cr3")),
    ("`mov` to CR4", "instruction write-cr4", instruction!("mov cr4")),
    ("`mov` to DR7", "instruction write-dr7", instruction!("mov dr7")),
    ("`rdmsr`", "instruction rdmsr", instruction!("rdmsr")),
    ("`wrmsr`", "instruction wrmsr", instruction!("wrmsr")),
    ("`out` to an undeclared port", "instruction out", instruction!("out")),
    ("`in` from an undeclared port", "instruction in", instruction!("in")),
    ("`lgdt`", "instruction lgdt", instruction!("lgdt")),
    ("`lidt`", "instruction lidt", instruction!("lidt")),
    ("`ltr`", "instruction ltr", instruction!("ltr")),
    ("`invlpg`", "instruction invlpg", instruction!("invlpg")),
    ("`swapgs`", "instruction swapgs", instruction!("swapgs")),
    ("`xsetbv`", "instruction xsetbv", instruction!("xsetbv")),
    ("`sysret`", "instruction sysret", instruction!("sysret")),
    ("`int 13`, an exception's own vector", "instruction int-13", instruction!("int")),
    ("`int 0x80`", "instruction int-80", instruction!("int")),
    ("`iretq` to ring 0", "instruction iretq-to-ring-0", instruction!("iret")),
    ("far return to ring 0", "instruction far-return-to-ring-0", instruction!("retf")),
    ("a `syscall` hidden in another instruction", "system-call", REFUSED),
    ("an undeclared call by the tender's own `syscall`", "tender-call 39", |backend| {
        (backend == Backend::Process).then_some(Filtered)
    }),
    ("executable memory by the tender's own `syscall`", "tender-call 10", |backend| {
        (backend == Backend::Process).then_some(Filtered)
    }),
    ("overwrite the tender's data", "tender-overwrite", |backend| (backend == Backend::Process).then_some(Broken)),
    ("nonsense to the tender's parent", "tender-messages", |backend| (backend == Backend::Process).then_some(Refused)),
    ("every wrong argument to every gate call", "gate-arguments", REFUSED),
    ("an exit status of 64 bits", "gate-exit", |_| Some(Status(77))),
    // Our own far sides read as the guest would, and their own fault handler ends the machine. The monitor's sees the
    // memory at an address of its own.
    ("have the far side read the guard page", "backtrace guard", |backend| match backend {
        Backend::Process => Some(Report(134, "memory at TARGET that it had made inaccessible")),
        Backend::Kvm => Some(Report(134, "that it had made inaccessible")),
        Backend::Microvm | Backend::Q35 => Some(Refused),
    }),
    ("have the far side read the exokernel", "backtrace 0x100000", REFUSED),
    ("time slices of a nanosecond", "short-slices", REFUSED),
    ("upcalls to an instruction that faults", "bad-upcall", |_| Some(Report(139, "while it handled its fault at"))),
    ("forge the vCPU block: a fault in progress", "forged-fault", |_| {
        Some(Report(139, "tried to write to address TARGET"))
    }),
    ("forge the vCPU block: events without end", "forged-events", REFUSED),
    ("ring doorbells that do not exist", "doorbells", instruction!("out")),
    ("a ring's index that runs ahead", "ring 0", RING),
    ("a descriptor that is not there", "ring 1", RING),
    ("a descriptor outside RAM", "ring 2", RING),
    ("a loop of descriptors", "ring 3", RING),
    ("a length that wraps", "ring 4", RING),
    ("nonsense in a message", "ring 5", RING),
    ("have a device write over a constant", "device-writes constants", DEVICE_WRITE),
    ("have a device write over text", "device-writes text", DEVICE_WRITE),
];

/// Queues that our own backends lay out; one number more is the entropy device's under QEMU.
const QUEUES: usize = 6;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![Case::new("attacks as docs/security.md has them", || scorecard().map(|()| Verdict::Passed))];
    for backend in Backend::ALL {
        cases.extend(ATTACKS.iter().filter_map(|(words, arguments, must)| {
            let must = must(backend)?;
            Some(on(backend, &format!("attack: {words}"), move |backend| attack(backend, arguments, must)))
        }));
    }
    cases
}

fn image() -> Result<PathBuf> {
    tool::image_with("tests/guests/attacks", &[], &[("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))])
}

fn attack(backend: Backend, arguments: &str, must: Must) -> Result<()> {
    let words: Vec<&str> = arguments.split(' ').collect();
    if words.first() == Some(&"ring") {
        return rings(backend, &words, must);
    }
    check(run(backend, &words)?, must)?;
    healthy(backend)
}

fn run(backend: Backend, words: &[&str]) -> Result<End> {
    let arguments: Vec<&str> = ["--"].into_iter().chain(words.iter().copied()).collect();
    Machine::start(&image()?, backend, &arguments)?.end()
}

/// One kind of nonsense in every queue. Where its device reads nothing at all (input with nobody typing) the guest ends by
/// itself, and the driver of a queue that it still needs may see the damage first; but some device must mind.
fn rings(backend: Backend, words: &[&str], must: Must) -> Result<()> {
    let queues = if backend.has_frames() { QUEUES..QUEUES + 1 } else { 0..QUEUES };
    let mut minded = 0;
    for queue in queues {
        let end = run(backend, &[words, &[&queue.to_string()]].concat())?;
        suffered(&end)?;
        ensure!([0, 134].contains(&end.status), "queue {queue}: status {}\n{}", end.status, end.all());
        minded += usize::from(check(end, must).is_ok());
    }
    ensure!(minded > 0, "no queue's device has minded");
    healthy(backend)
}

/// The next machine runs. (Under QEMU it would be another QEMU, which shares nothing with the attacked one.)
fn healthy(backend: Backend) -> Result<()> {
    if backend.has_frames() {
        return Ok(());
    }
    let end = Machine::start(&image()?, backend, &[])?.end()?.with_status(0)?;
    ensure!(end.output.contains("gate-arguments"), "the next machine does not run: {}", end.all());
    Ok(())
}

/// Has anything below the gate come to harm?
fn suffered(end: &End) -> Result<()> {
    for word in ["panicked", "exokernel panic", "exokernel faulted", "a bug in Ampoule"] {
        ensure!(!end.all().contains(word), "the far side itself has suffered:\n{}", end.all());
    }
    Ok(())
}

fn check(end: End, must: Must) -> Result<()> {
    if let Broken = must {
        ensure!([134, 139].contains(&end.status), "status {}\n{}", end.status, end.all());
        return end.with_text(&["ampoule: the machine ended: signal 11 "]).map(drop);
    }
    suffered(&end)?;
    let target = end.output.lines().find_map(|line| line.strip_prefix("target ")).unwrap_or("no target").to_owned();
    let (status, text) = match must {
        Fault(access) => (139, format!("tried to {access} address {target}")),
        Instruction(name) => (139, format!(" by {name} (bytes ")),
        Report(status, text) => (status, text.replace("TARGET", &target)),
        Refused => (0, "refused: ".to_owned()),
        Filtered => (128 + 31, "it made a system call that its manifest does not give it".to_owned()),
        Status(status) => (status, String::new()),
        Broken | Open => (3, "it went through".to_owned()),
    };
    let end = end.with_status(status)?.with_text(&[&text])?;
    if let Instruction(_) = must {
        ensure!(end.all().contains(", at image+0x"), "the report does not say where:\n{}", end.all());
    }
    Ok(())
}

/// The table as `docs/security.md` shows it.
fn table() -> String {
    let mut out = String::from("| attack |");
    let mut line = String::from("\n|---|");
    for backend in Backend::ALL {
        _ = write!(out, " {backend} |");
        line.push_str("---|");
    }
    out.push_str(&line);
    for (words, _, must) in ATTACKS {
        _ = write!(out, "\n| {words} |");
        for backend in Backend::ALL {
            _ = write!(out, " {} |", must(backend).map_or("–".to_owned(), cell));
        }
    }
    out + "\n"
}

fn cell(must: Must) -> String {
    match must {
        Fault(access) => format!("fault: {}", access.trim_end_matches(" to")),
        Instruction(name) => format!("fault: `{name}`"),
        Report(139, _) => "fault".to_owned(),
        Report(status, _) => format!("ended, {status}"),
        Refused => "refused".to_owned(),
        Filtered => "killed by the filter".to_owned(),
        Broken => "ended, 134 or 139".to_owned(),
        Status(_) => "harmless".to_owned(),
        Open => "**goes through**".to_owned(),
    }
}

/// Fails where the page and the table above differ.
fn scorecard() -> Result<()> {
    const BEGIN: &str = "<!-- attacks: begin (tests/tests/machines/attacks.rs) -->\n";
    const END: &str = "<!-- attacks: end -->";
    let file = tool::root().join("docs/security.md");
    let text = fs::read_to_string(&file).context("cannot read docs/security.md")?;
    let (before, rest) = text.split_once(BEGIN).context("docs/security.md has no place for the attacks")?;
    let (shown, after) = rest.split_once(END).context("docs/security.md has no end of the attacks")?;
    if shown == table() {
        return Ok(());
    }
    if std::env::var_os("AMPOULE_BLESS").is_none() {
        bail!(
            "docs/security.md shows another table; write it afresh with AMPOULE_BLESS=1 cargo xtask test security.md"
        );
    }
    Ok(fs::write(&file, format!("{before}{BEGIN}{}{END}{after}", table()))?)
}
