//! `ampoule run`: runs an image, and ends as its program ends. What supervises a machine in the background is told what
//! happens ([`fleet::runner`]).

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use abi::manifest::{Manifest, Protocol};
use anyhow::Context;
use fleet::link::Event;
use fleet::runner::{self, tell};
use image::debug::Symboliser;
use monitor::qemu::{self, Accelerator, Network, Setup};
use monitor::{Backend, Notice, Options, Outcome, Program};

use crate::Failure;
use crate::arguments::{Machine, On, Publish, Run};

/// Runs what is named; the status is the guest's.
pub(super) fn perform(arguments: Run) -> Result<u8, Failure> {
    let path = match runner::image() {
        Some(path) => path,
        None if arguments.detach => return super::detach::perform(&arguments),
        None => super::target::image(&arguments.target, &arguments.options)?,
    };
    // As a process, the digest is checked while the machine is made.
    let as_process = arguments.on != On::Qemu;
    let image = if as_process { super::target::open_unhashed(&path)? } else { super::target::open(&path)? };
    let mut options = options(&arguments, image.manifest())?;
    options.debug = Some(path.with_extension("debug"));
    if arguments.on == On::Auto && std::io::stderr().is_terminal() {
        eprintln!("running {} as a process", path.display());
    }
    let is_whole = as_process.then_some(image::is_whole as fn(&[u8]) -> bool);
    let program = Program { header: image.header(), bytes: image.bytes(), manifest: image.manifest(), is_whole };
    tell(&Event::Running { backend: backend(&arguments).into(), digest: hex(image.digest()) });
    let outcome = match arguments.on {
        On::Auto | On::Process => monitor::run(&program, &options),
        On::Qemu => under_qemu(&program, &options, &path, arguments.machine, image.digest()),
    };
    if let Err(error @ monitor::Error::Damaged) = &outcome {
        return Err(Failure::input(format!("{}: {error}", path.display())));
    }
    let outcome = outcome.with_context(|| format!("cannot run {}", path.display()))?;
    if let Some(report) = outcome.report {
        tell(&Event::Report(report));
    }
    Ok(outcome.status)
}

/// What runs the machine, for those who list machines.
fn backend(arguments: &Run) -> &'static str {
    match (arguments.on, arguments.machine) {
        (On::Auto | On::Process, _) => "process",
        (On::Qemu, Machine::Microvm) => "qemu/microvm",
        (On::Qemu, Machine::Q35) => "qemu/q35",
    }
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Boots the file under QEMU. Backtraces get their names from the debug file beside the image, if it is there.
fn under_qemu(
    program: &Program<'_>,
    options: &Options,
    path: &Path,
    machine: Machine,
    digest: &[u8; 32],
) -> Result<Outcome, monitor::Error> {
    let debug = std::fs::read(path.with_extension("debug")).unwrap_or_default();
    let symboliser = Symboliser::new(&debug, Some(digest)).ok();
    let names = |offset| {
        let places = symboliser.as_ref().map_or_else(Vec::new, |s| s.places(offset));
        places.into_iter().map(|place| place.to_string()).collect()
    };
    let machine = match machine {
        Machine::Microvm => qemu::Machine::Microvm,
        Machine::Q35 => qemu::Machine::Q35,
    };
    let setup =
        Setup { image: path, machine, accelerator: Accelerator::Auto, network: &Network::User, names: Some(&names) };
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
        notify: Some(notify),
        ..Options::default()
    })
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
    tell(&event(notice));
    match notice {
        Notice::Listening { protocol: Protocol::Tcp, host, .. } => eprintln!("listening on http://{host}/"),
        Notice::Listening { host, .. } => eprintln!("listening on udp {host}"),
        Notice::PortInUse { .. } => eprintln!("error: {notice}"),
    }
}

fn event(notice: &Notice) -> Event {
    let port = |protocol: &Protocol, port: &u16, host: &SocketAddr| fleet::Port {
        protocol: super::detach::protocol(*protocol),
        host: *host,
        port: *port,
    };
    match notice {
        Notice::Listening { protocol, port: number, host } => Event::Listening(port(protocol, number, host)),
        Notice::PortInUse { protocol, port: number, host } => {
            Event::Refused { port: port(protocol, number, host), text: notice.to_string() }
        }
    }
}
