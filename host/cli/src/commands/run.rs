//! `ampoule run`: runs an image, and ends as its program ends.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use abi::manifest::{Manifest, Protocol};
use anyhow::Context;
use image::debug::Symboliser;
use monitor::qemu::{self, Accelerator, Network, Setup};
use monitor::{Backend, Notice, Options, Outcome, Program};

use crate::Failure;
use crate::arguments::{Machine, On, Publish, Run};

/// Runs what is named; the status is the guest's.
pub(super) fn perform(arguments: Run) -> Result<u8, Failure> {
    let path = super::target::image(&arguments.target, &arguments.options)?;
    // Under our own monitors, the digest is checked while the machine is made.
    let is_ours = arguments.on != On::Qemu;
    let image = if is_ours { super::target::open_unhashed(&path)? } else { super::target::open(&path)? };
    let mut options = options(&arguments, image.manifest())?;
    options.debug = Some(path.with_extension("debug"));
    let is_whole = is_ours.then_some(image::is_whole as fn(&[u8]) -> bool);
    let program = Program { header: image.header(), bytes: image.bytes(), manifest: image.manifest(), is_whole };
    let outcome = match arguments.on {
        On::Auto => on_the_best(&program, options, &path),
        On::Kvm => monitor::run(&program, &Options { backend: Backend::Kvm, ..options }),
        On::Process => monitor::run(&program, &options),
        On::Qemu => under_qemu(&program, &options, &path, arguments.machine, image.digest()),
    };
    if let Err(error @ monitor::Error::Damaged) = &outcome {
        return Err(Failure::input(format!("{}: {error}", path.display())));
    }
    Ok(outcome.with_context(|| format!("cannot run {}", path.display()))?.status)
}

/// Runs it under KVM if that can be used, otherwise as a process, and tells a person which.
fn on_the_best(program: &Program<'_>, options: Options, path: &Path) -> Result<Outcome, monitor::Error> {
    let say = |how: &dyn std::fmt::Display| {
        if std::io::stderr().is_terminal() {
            eprintln!("running {} {how}", path.display());
        }
    };
    let options = Options { backend: Backend::Kvm, ..options };
    let outcome = monitor::kvm::check().and_then(|()| {
        say(&"under KVM");
        monitor::run(program, &options)
    });
    match outcome {
        Err(error @ monitor::Error::NoKvm(_)) => {
            say(&format_args!("as a process ({error})"));
            monitor::run(program, &Options { backend: Backend::Process, ..options })
        }
        outcome => outcome,
    }
}

/// Boots the file under QEMU. Backtraces get their names from the debug file beside the image, if it is there.
fn under_qemu(
    program: &Program<'_>,
    options: &Options,
    path: &Path,
    machine: Machine,
    digest: &[u8; 32],
) -> Result<Outcome, monitor::Error> {
    // Read when a backtrace comes: that takes as long as a tenth of the machine's start.
    let (debug, symboliser) = (OnceCell::new(), OnceCell::new());
    let names = |offset| {
        let debug = debug.get_or_init(|| std::fs::read(path.with_extension("debug")).unwrap_or_default());
        let symboliser = symboliser.get_or_init(|| Symboliser::new(debug, Some(digest)).ok());
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

fn options(arguments: &Run, manifest: &Manifest) -> Result<Options, Failure> {
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

/// Tells the operator where the machine is to be reached.
fn notify(notice: &Notice) {
    match notice {
        Notice::Listening { protocol: Protocol::Tcp, host, .. } => eprintln!("listening on http://{host}/"),
        Notice::Listening { host, .. } => eprintln!("listening on udp {host}"),
        Notice::PortInUse { .. } => eprintln!("error: {notice}"),
    }
}
