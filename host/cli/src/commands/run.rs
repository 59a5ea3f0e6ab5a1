//! `ampoule run`: runs an image, and ends as its program ends. What supervises a machine in the background is told what
//! happens ([`fleet::runner`]).

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use abi::manifest::{Manifest, Protocol};
use anyhow::Context;
use fleet::link::Event;
use fleet::runner::{self, tell};
use image::debug::Symboliser;
use monitor::jail::{self, Jail};
use monitor::qemu::{self, Accelerator, Setup};
use monitor::timeline::Mark;
use monitor::{Backend, Network, Notice, Options, Outcome, Program};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::timeline::Wanted;
use super::trace;
use crate::Failure;
use crate::arguments::{BuildOptions, Machine, On, Publish, Run};
use crate::terminal::Raw;

/// Runs what is named; the status is the guest's.
pub(super) fn perform(arguments: Run) -> Result<u8, Failure> {
    // What is wrong with it is said before the long part.
    let trace = arguments.trace.clone().map(|filter| trace::Wanted::new(filter, arguments.trace_file.clone()));
    let trace = trace.transpose()?;
    let path = match runner::image() {
        Some(path) => path,
        None if arguments.detach => return super::detach::perform(&arguments),
        None => {
            let debuginfo = arguments.options.debuginfo || arguments.gdb.is_some();
            let options = BuildOptions { debuginfo, traced: trace.is_some(), ..arguments.options.clone() };
            super::target::image(&arguments.target, &options)?
        }
    };
    // Under our own monitors, the digest is checked while the machine is made.
    let is_ours = arguments.on != On::Qemu;
    let image = if is_ours { super::target::open_unhashed(&path)? } else { super::target::open(&path)? };
    if let Some(keys) = &arguments.require_signature {
        // Over the bytes that are going to run, not over the file, which may change.
        crate::signing::verify(&path, image.bytes(), keys)?;
    }
    let mut options = options(&arguments, image.manifest())?;
    if let Some(trace) = &trace {
        trace.check(&path, image.manifest())?;
        trace.apply(&mut options);
    }
    options.debug = Some(path.with_extension("debug"));
    options.counters = runner::counters();
    let timeline = arguments.timeline.clone().map(Wanted::new).transpose()?;
    options.timeline = timeline.as_ref().map(|wanted| wanted.timeline);
    options.timeline.inspect(|timeline| timeline.mark(Mark::Opened));
    let is_whole = is_ours.then_some(image::is_whole as fn(&[u8]) -> bool);
    let program = Program { header: image.header(), bytes: image.bytes(), manifest: image.manifest(), is_whole };
    if arguments.explain_jail {
        explain_jail(arguments.on, image.manifest(), &options);
        return Ok(0);
    }
    let _terminal = match arguments.raw {
        true => Some(Raw::enter().ok_or_else(|| Failure::input("--raw: standard input is no terminal"))?),
        false => None,
    };
    let outcome = match arguments.on {
        On::Auto => on_the_best(&program, &options, &path),
        On::Kvm => on(Backend::Kvm, &program, &options),
        On::Process => on(Backend::Process, &program, &options),
        On::Qemu => {
            let copy = arguments.require_signature.as_ref().map(|_| Copy::of(image.bytes())).transpose()?;
            let file = copy.as_ref().map_or(path.as_path(), |copy| &copy.path);
            under_qemu(&program, &options, &path, file, arguments.machine, image.digest())
        }
    };
    if let (Some(trace), Ok(outcome)) = (&trace, &outcome) {
        trace.end(outcome);
    }
    if let Some(wanted) = timeline.filter(|_| outcome.is_ok()) {
        wanted.show(&path.display().to_string());
    }
    match &outcome {
        Err(error @ monitor::Error::Damaged) => {
            return Err(Failure::input(format!("{}: {error}", path.display())));
        }
        Err(error @ (monitor::Error::Capture { .. } | monitor::Error::Debugger { .. })) => {
            return Err(Failure::input(error));
        }
        _ => {}
    }
    let outcome = outcome.with_context(|| format!("cannot run {}", path.display()))?;
    if let Some(report) = outcome.report {
        tell(&Event::Report(report));
    }
    Ok(outcome.status)
}

/// Runs it on `on`, one of our own, and says nothing about that.
pub(super) fn quietly(on: On, program: &Program<'_>, options: &Options) -> Result<Outcome, monitor::Error> {
    let run = |backend| monitor::run(program, &Options { backend, ..options.clone() });
    match on {
        On::Process => run(Backend::Process),
        On::Kvm | On::Qemu => run(Backend::Kvm),
        On::Auto => match monitor::kvm::check().and_then(|()| run(Backend::Kvm)) {
            Err(monitor::Error::NoKvm(_)) => run(Backend::Process),
            outcome => outcome,
        },
    }
}

/// Says what runs the machine, to those who list machines.
fn tell_running(backend: &str, digest: &[u8; 32]) {
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    tell(&Event::Running { backend: backend.into(), digest });
}

/// A backend, as `--on` calls it.
fn name_of(backend: &Backend) -> &'static str {
    match backend {
        Backend::Kvm => "kvm",
        Backend::Process => "process",
    }
}

/// Runs it on one of our own backends.
fn on(backend: Backend, program: &Program<'_>, options: &Options) -> Result<Outcome, monitor::Error> {
    tell_running(name_of(&backend), &program.header.digest);
    monitor::run(program, &Options { backend, ..options.clone() })
}

/// Runs it under KVM if that can be used, otherwise as a process, and tells a person which.
fn on_the_best(program: &Program<'_>, options: &Options, path: &Path) -> Result<Outcome, monitor::Error> {
    let say = |how: &dyn std::fmt::Display| {
        if std::io::stderr().is_terminal() {
            eprintln!("running {} {how}", path.display());
        }
    };
    // A debugger that has come could not be handed on.
    let check = if options.gdb.is_some() { monitor::kvm::try_out } else { monitor::kvm::check };
    let outcome = check().and_then(|()| {
        say(&"under KVM");
        on(Backend::Kvm, program, options)
    });
    match outcome {
        Err(error @ monitor::Error::NoKvm(_)) => {
            say(&format_args!("as a process ({error})"));
            on(Backend::Process, program, options)
        }
        outcome => outcome,
    }
}

/// Prints what the tool and the machine's own process give up, on what `--on` chooses.
fn explain_jail(on: On, manifest: &Manifest, options: &Options) {
    let backend = match on {
        On::Qemu => {
            println!(
                "Under QEMU no process is jailed by this tool: the seal of the machine itself is its exokernel's."
            );
            return;
        }
        On::Process => Backend::Process,
        On::Auto if monitor::kvm::check().is_err() => Backend::Process,
        On::Auto | On::Kvm => Backend::Kvm,
    };
    println!("the machine's own process ({}), before the program's first instruction:", name_of(&backend));
    println!("{}", indented(&jail::describe_machine(&backend, manifest, options)));
    println!("the tool, as soon as the machine is made:");
    println!("{}", indented(&Jail::new(manifest, &options.publish).to_string()));
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// A copy of an image in memory that has no name in any folder, for another program to read: nobody can change what was
/// checked.
struct Copy {
    path: PathBuf,
    _file: File,
}

impl Copy {
    fn of(bytes: &[u8]) -> Result<Self, Failure> {
        let make = || -> std::io::Result<Self> {
            let mut file = File::from(memfd_create("image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
            file.write_all(bytes)?;
            fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            Ok(Self { path: path.into(), _file: file })
        };
        Ok(make().context("cannot keep a copy of the image in memory")?)
    }
}

/// Boots the file under QEMU. Backtraces get their names from the debug file beside the image, if it is there.
pub(super) fn under_qemu(
    program: &Program<'_>,
    options: &Options,
    path: &Path,
    file: &Path,
    machine: Machine,
    digest: &[u8; 32],
) -> Result<Outcome, monitor::Error> {
    // Read when a backtrace comes: that takes as long as a tenth of the machine's start.
    let (debug, symboliser) = (OnceCell::new(), OnceCell::new());
    let names = |offset| {
        let file = path.with_extension("debug");
        let without = |why: String| eprintln!("{}", monitor::without_names(&file.display().to_string(), &why));
        let read = || std::fs::read(&file).map_err(|error| without(error.to_string())).ok();
        let debug: Option<&Vec<u8>> = debug.get_or_init(read).as_ref();
        let make = || Symboliser::new(debug?, Some(digest)).map_err(|error| without(error.to_string())).ok();
        let symboliser = symboliser.get_or_init(make);
        let places = symboliser.as_ref().map_or_else(Vec::new, |s| s.places(offset));
        places.into_iter().map(|place| place.to_string()).collect()
    };
    let (machine, name) = match machine {
        Machine::Microvm => (qemu::Machine::Microvm, "qemu/microvm"),
        Machine::Q35 => (qemu::Machine::Q35, "qemu/q35"),
    };
    tell_running(name, digest);
    let setup = Setup { image: file, machine, accelerator: Accelerator::Auto, names: Some(&names) };
    qemu::run(program, options, &setup)
}

/// What the command line says, checked against what the manifest allows.
pub(super) fn options(arguments: &Run, manifest: &Manifest) -> Result<Options, Failure> {
    Ok(Options {
        backend: Backend::Process,
        memory: arguments.memory,
        arguments: guest_arguments(&arguments.arguments, manifest)?,
        environment: arguments.env.clone(),
        publish: arguments.publish.iter().map(|publish| published(publish, manifest)).collect::<Result<_, _>>()?,
        network: network(arguments, manifest)?,
        notify: Some(notify),
        gdb: arguments.gdb,
        pcap: arguments.pcap.clone(),
        ..Options::default()
    })
}

/// How it is connected. What would do nothing is said rather than ignored.
fn network(arguments: &Run, manifest: &Manifest) -> Result<Network, Failure> {
    let network = arguments.net.clone().unwrap_or_default();
    if matches!(network, Network::Tap(_)) && manifest.network.is_none() {
        return Err(Failure::input(
            "the image's manifest names no network, so --net tap would connect nothing; \
             it would have to have `net.listen` or `net.connect`",
        ));
    }
    if arguments.pcap.is_some() && (manifest.network.is_none() || network == Network::None) {
        return Err(Failure::input(
            "the machine has no network, so --pcap would write nothing; the image's manifest would have to have \
             `net.listen` or `net.connect`, and the command line no --net none",
        ));
    }
    if network != Network::Own && !arguments.publish.is_empty() {
        return Err(Failure::input("--publish is for the host's own sockets; with --net the machine has none of them"));
    }
    Ok(network)
}

/// The program's name and the arguments given, or `None`: the manifest's own.
fn guest_arguments(given: &[OsString], manifest: &Manifest) -> Result<Option<Vec<String>>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    let text = |argument: &OsString| {
        let error = || Failure::input(format!("the argument {argument:?} is no UTF-8; a guest takes nothing else"));
        argument.to_str().map(str::to_owned).ok_or_else(error)
    };
    let all = std::iter::once(Ok(manifest.name.clone())).chain(given.iter().map(text));
    all.collect::<Result<_, _>>().map(Some)
}

/// A port that the manifest lists, and where it is to be reached.
fn published(publish: &Publish, manifest: &Manifest) -> Result<monitor::Publish, Failure> {
    let (protocol, word) = if publish.udp { (Protocol::Udp, "udp") } else { (Protocol::Tcp, "tcp") };
    let port = publish.guest_port;
    if !manifest.network.as_ref().is_some_and(|network| network.may_listen(protocol, port)) {
        return Err(Failure::input(format!(
            "the image may not listen on {word} port {port}; \
             its manifest would have to say `net.listen = [\"{word}/{port}\"]`"
        )));
    }
    let address = publish.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(monitor::Publish { protocol, host: SocketAddr::new(address, publish.host_port), port })
}

/// Tells the operator, and the supervisor, where the machine is to be reached.
fn notify(notice: &Notice) {
    event(notice).inspect(tell);
    match notice {
        Notice::Debugger(_) => eprintln!("{notice}"),
        Notice::Listening { protocol: Protocol::Tcp, host, .. } => eprintln!("listening on http://{host}/"),
        Notice::Listening { host, .. } => eprintln!("listening on udp {host}"),
        Notice::PortInUse { .. } => eprintln!("error: {notice}"),
    }
}

/// What a supervisor is told of it.
fn event(notice: &Notice) -> Option<Event> {
    let port = |protocol: &Protocol, port: &u16, host: &SocketAddr| fleet::Port {
        protocol: super::detach::protocol(*protocol),
        host: *host,
        port: *port,
    };
    Some(match notice {
        Notice::Debugger(_) => return None,
        Notice::Listening { protocol, port: number, host } => Event::Listening(port(protocol, number, host)),
        Notice::PortInUse { protocol, port: number, host } => {
            Event::Refused { port: port(protocol, number, host), text: notice.to_string() }
        }
    })
}
