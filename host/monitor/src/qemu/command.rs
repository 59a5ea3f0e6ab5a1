//! QEMU's command line, from the manifest and what the operator said.

use super::{Accelerator, Machine, Setup};
use crate::{Network, Options, Publish, Tap};
use abi::manifest::{Manifest, Protocol};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// All arguments. `forwards` are the ports that QEMU's user networking passes on, `output` is the descriptor that takes the
/// console's output. `debugged`: where QEMU waits for gdb before the first instruction, and where the image is to lie.
pub(super) fn arguments(
    manifest: &Manifest,
    options: &Options,
    setup: &Setup<'_>,
    memory: u64,
    forwards: &[Publish],
    output: i32,
    debugged: Option<(SocketAddr, u64)>,
) -> Vec<String> {
    let machine = match setup.machine {
        // Without ACPI QEMU starts it by qboot, quickly, and names its devices on the kernel command line.
        Machine::Microvm => "microvm,acpi=off,x-option-roms=off,isa-serial=on,rtc=off,pit=off,pic=off",
        Machine::Q35 => "q35",
    };
    let mut out: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| out.extend(words.iter().map(|w| (*w).to_owned()));
    add(&["-M", machine, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    if is_accelerated(setup.accelerator) {
        add(&["-accel", "kvm", "-cpu", "host", "-smp", "1"]);
    } else {
        // With one possible CPU, QEMU 7.2's emulation leaves out the guest's memory barriers although devices run in
        // another thread, and loses virtio notifications: so two are possible.
        add(&["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1,maxcpus=2"]);
    }
    add(&["-m", &format!("{}K", memory.div_ceil(1024))]);
    add(&["-kernel", &setup.image.to_string_lossy(), "-append", &kernel_line(options, manifest, debugged)]);
    if let Some((address, _)) = debugged {
        add(&["-gdb", &format!("tcp:{address}"), "-S"]);
    }
    add(&["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    add(&["-chardev", "socket,id=serial,fd=2", "-serial", "chardev:serial"]);

    let (suffix, modern) = match setup.machine {
        Machine::Microvm => ("device", ""),
        Machine::Q35 => ("pci", ",disable-legacy=on"),
    };
    if setup.machine == Machine::Microvm {
        add(&["-global", "virtio-mmio.force-legacy=off"]);
    }
    let mut device = |rest: String| out.extend(["-device".to_owned(), rest]);
    device(format!("virtio-serial-{suffix}{modern},max_ports=1"));
    device("virtconsole,chardev=console".into());
    // A guest that asks for 4 GiB would have QEMU find the memory for them at once.
    device(format!("virtio-rng-{suffix}{modern},max-bytes=65536,period=1000"));
    if manifest.network.is_some() {
        let rom = if setup.machine == Machine::Q35 { ",romfile=" } else { "" };
        device(format!("virtio-net-{suffix}{modern},netdev=net{rom}"));
        out.extend(["-netdev".to_owned(), netdev(options, manifest, forwards)]);
        if let Some(path) = &options.pcap {
            let path = path.to_string_lossy().replace(',', ",,");
            out.extend(["-object".to_owned(), format!("filter-dump,id=dump,netdev=net,file={path}")]);
        }
    }
    out.extend(["-chardev".to_owned(), format!("stdio,id=console,signal=off,logfile=/dev/fd/{output}")]);
    out
}

fn netdev(options: &Options, manifest: &Manifest, forwards: &[Publish]) -> String {
    match &options.network {
        Network::Tap(Tap { interface, .. }) => {
            // QEMU before 8.0 writes VIRTIO's header before each frame into the capture, where the interface takes one.
            let headers = if options.pcap.is_some() { ",vnet_hdr=off" } else { "" };
            format!("tap,id=net,ifname={interface},script=no,downscript=no{headers}")
        }
        Network::Own | Network::None => {
            let mut text = "user,id=net".to_owned();
            // A machine that may connect nowhere is kept from doing so here too; forwarded ports still work, but those of
            // UDP only one way: QEMU would drop the answers.
            let is_kept = |network: &abi::manifest::Network| {
                network.connect.is_empty() && network.listen.iter().all(|listen| listen.protocol == Protocol::Tcp)
            };
            if manifest.network.as_ref().is_some_and(is_kept) {
                text.push_str(",restrict=on");
            }
            for Publish { protocol, host, port } in forwards {
                let name = if *protocol == Protocol::Tcp { "tcp" } else { "udp" };
                let _ = write!(text, ",hostfwd={name}:{}:{}-:{port}", host.ip(), host.port());
            }
            text
        }
    }
}

/// The kernel command line (the exokernel's `command_line`).
fn kernel_line(options: &Options, manifest: &Manifest, debugged: Option<(SocketAddr, u64)>) -> String {
    let mut line = String::new();
    if let Ok(now) = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        let _ = write!(line, "ampoule.time={}", now.as_nanos());
    }
    let address = match &options.network {
        Network::Own | Network::None => Some("10.0.2.15/24,10.0.2.2,10.0.2.3".to_owned()),
        Network::Tap(tap) => tap.station.map(|station| station.line()),
    };
    if let (Some(address), Some(_)) = (address, &manifest.network) {
        let _ = write!(line, " ampoule.ip={address}");
    }
    if let Some((_, base)) = debugged {
        let _ = write!(line, " ampoule.base={base}");
    }
    for entry in &options.environment {
        let _ = write!(line, " ampoule.env={}", encode(entry));
    }
    if let Some(arguments) = &options.arguments {
        line.push_str(" --");
        for argument in arguments.iter().skip(1) {
            let _ = write!(line, " {}", encode(argument));
        }
    }
    line
}

/// A word in which nothing is special: no spaces, no percent signs, not empty, and no underscore, so that nothing looks
/// like a `virtio_mmio.device`.
fn encode(word: &str) -> String {
    if word.is_empty() {
        return "%00".into(); // a NUL is dropped on the other side
    }
    let mut out = String::new();
    for byte in word.bytes() {
        match byte.is_ascii_alphanumeric() || b"-./:@+,=".contains(&byte) {
            true => out.push(char::from(byte)),
            false => _ = write!(out, "%{byte:02x}"),
        }
    }
    // Alone it would end the options.
    if out == "--" { "%2d-".into() } else { out }
}

/// Is KVM wanted and usable? A /dev/kvm without virtualisation in hardware emulates ring 0 instruction by instruction,
/// which is slower than QEMU's own emulation.
fn is_accelerated(accelerator: Accelerator) -> bool {
    match accelerator {
        Accelerator::Kvm => true,
        Accelerator::Tcg => false,
        Accelerator::Auto => {
            let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let in_hardware = flags.split_ascii_whitespace().any(|f| f == "vmx" || f == "svm");
            in_hardware && std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::manifest::Listen;
    use std::path::Path;

    fn manifest() -> Manifest {
        let listen = Listen { protocol: Protocol::Tcp, first_port: 80, last_port: 80 };
        let network = abi::manifest::Network { listen: vec![listen], connect: Vec::new() };
        Manifest { name: "web".into(), network: Some(network), ..Default::default() }
    }

    fn line(manifest: &Manifest, options: &Options, machine: Machine) -> String {
        let setup = Setup { image: Path::new("a.img"), machine, accelerator: Accelerator::Tcg, names: None };
        let forward = Publish { host: ([127, 0, 0, 1], 8080).into(), ..Publish::default_for(Protocol::Tcp, 80) };
        arguments(manifest, options, &setup, 8 << 20, &[forward], 3, None).join(" ")
    }

    #[test]
    fn devices_are_those_of_the_manifest() {
        let with = line(&manifest(), &Options::default(), Machine::Microvm);
        assert!(with.contains("virtio-net-device,netdev=net"), "{with}");
        assert!(with.contains("restrict=on,hostfwd=tcp:127.0.0.1:8080-:80"), "{with}");
        assert!(with.contains("-m 8192K"), "{with}");
        let without = line(&Manifest::default(), &Options::default(), Machine::Q35);
        assert!(!without.contains("net-pci") && !without.contains("ampoule.ip"), "{without}");
        assert!(without.contains("virtio-rng-pci,disable-legacy=on,max-bytes=65536,period=1000"), "{without}");
    }

    #[test]
    fn words_survive_the_kernel_command_line() {
        let arguments = ["web", "a b", "", "100%", "--", "virtio_mmio.device=1@0x2:3"].map(str::to_owned).to_vec();
        let options = Options { arguments: Some(arguments), environment: vec!["K=v w".into()], ..Options::default() };
        let line = line(&manifest(), &options, Machine::Microvm);
        assert!(line.contains("ampoule.env=K=v%20w -- a%20b %00 100%25 %2d- virtio%5fmmio.device=1@0x2:3 "), "{line}");
    }
}
