//! `ampoule run --detach`: starts a machine in the background, and says its name once it has started.

use std::io::Write;
use std::path::Path;

use abi::manifest::{Manifest, Protocol};
use fleet::Name;
use fleet::start::{Plan, Verdict, Wanted, start};

use crate::Failure;
use crate::arguments::Run;

/// Starts what is named. The status is 0 if it runs, or ended well; else what `ampoule run` would have ended with.
pub(super) fn perform(arguments: &Run) -> Result<u8, Failure> {
    let path = super::target::image(&arguments.target, &arguments.options)?;
    let image = super::target::open_unhashed(&path)?;
    // What is wrong with the command line is said here, before anything is started.
    super::run::options(arguments, image.manifest())?;
    if let Some(keys) = &arguments.require_signature {
        crate::signing::verify(&path, image.bytes(), keys)?;
    }
    let path = std::path::absolute(&path).unwrap_or(path);
    let plan = plan(arguments, &path, image.manifest());
    drop(image);
    match start(&plan, &path).map_err(anyhow::Error::from)? {
        Verdict::Started { name, notes } => {
            notes.iter().for_each(|note| eprintln!("warning: {name}: {note}"));
            println!("{name}");
            Ok(0)
        }
        Verdict::Failed { status, output, reason } => {
            _ = std::io::stderr().write_all(output.as_bytes());
            eprintln!("error: {reason}");
            Ok(status)
        }
    }
}

fn plan(arguments: &Run, path: &Path, manifest: &Manifest) -> Plan {
    let name = match &arguments.name {
        Some(name) => Wanted::Exactly(name.clone()),
        None => Wanted::Like(Name::like(&manifest.name)),
    };
    Plan { name, image: path.to_string_lossy().into_owned(), awaited: awaited(arguments, manifest) }
}

/// The ports that the machine is expected to listen at: those published, and each that the manifest names by itself. Of a
/// range nobody knows which it will take.
fn awaited(arguments: &Run, manifest: &Manifest) -> Vec<(fleet::Protocol, u16)> {
    let published = arguments.publish.iter().map(|p| {
        let protocol = if p.udp { fleet::Protocol::Udp } else { fleet::Protocol::Tcp };
        (protocol, p.guest_port)
    });
    let network = manifest.network.iter().flat_map(|network| &network.listen);
    let single = network.filter(|listen| listen.first_port == listen.last_port && listen.first_port != 0);
    let mut all: Vec<_> =
        published.chain(single.map(|listen| (protocol(listen.protocol), listen.first_port))).collect();
    all.sort_by_key(|(protocol, port)| (protocol.to_string(), *port));
    all.dedup();
    all
}

/// A protocol, as the fleet names it.
pub(super) fn protocol(protocol: Protocol) -> fleet::Protocol {
    match protocol {
        Protocol::Tcp => fleet::Protocol::Tcp,
        Protocol::Udp => fleet::Protocol::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::manifest::{Listen, Network};

    #[test]
    fn ports_are_awaited_once() {
        let listen = |first_port, last_port| Listen { protocol: Protocol::Tcp, first_port, last_port };
        let listen = vec![listen(8080, 8080), listen(9000, 9010), listen(443, 443)];
        let manifest = Manifest { network: Some(Network { listen, connect: Vec::new() }), ..Manifest::default() };
        let publish = |guest_port| crate::arguments::Publish { address: None, host_port: 0, guest_port, udp: false };
        let arguments = Run { publish: vec![publish(8080), publish(9001)], ..Run::default() };
        let numbers: Vec<u16> = awaited(&arguments, &manifest).into_iter().map(|(_, port)| port).collect();
        assert_eq!(numbers, [443, 8080, 9001]);
        assert!(awaited(&Run::default(), &Manifest::default()).is_empty());
    }
}
