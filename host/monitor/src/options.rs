//! What the operator says about one run, and what became of it.

use crate::timeline::Timeline;
use crate::{Attach, Network};
use abi::image::ImageHeader;
use abi::manifest::{Manifest, Protocol};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// What to run: an image that was checked, all but its digest perhaps.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The image's header.
    pub header: &'a ImageHeader,
    /// The whole file.
    pub bytes: &'a [u8],
    /// The sealed manifest.
    pub manifest: &'a Manifest,
    /// Checks the digest, of the whole file, while the machine is made; `None` where somebody has.
    pub is_whole: Option<fn(&[u8]) -> bool>,
}

/// How to run it.
#[derive(Clone, Debug)]
pub struct Options {
    /// What runs it.
    pub backend: Backend,
    /// RAM in bytes, instead of what the manifest says.
    pub memory: Option<u64>,
    /// The program's arguments, its name first, instead of the manifest's.
    pub arguments: Option<Vec<String>>,
    /// Environment entries (`NAME=value`) besides the manifest's; the same name replaces.
    pub environment: Vec<String>,
    /// Where ports of the machine appear on the host. What is not named here appears at 127.0.0.1, same number.
    pub publish: Vec<Publish>,
    /// How the machine is connected, if its manifest names a network.
    pub network: Network,
    /// Is told what the operator may want to know, while the machine runs.
    pub notify: Option<fn(&Notice)>,
    /// The image's debug file, by which backtraces get names. It need not exist.
    pub debug: Option<PathBuf>,
    /// A file to make, in which the machine keeps its [`Counters`](crate::Counters) up to date. Not under QEMU.
    pub counters: Option<PathBuf>,
    /// Where to note how far the machine has come.
    pub timeline: Option<Timeline>,
    /// A file to make, for what goes over the network.
    pub pcap: Option<PathBuf>,
    /// Where to write what the program asks of its OS, a line a call. An image that is not traced
    /// ([`Manifest::is_traced`]) says nothing, and one that is, only if [`abi::trace::VARIABLE`] is among
    /// `environment`.
    pub trace: Option<Arc<File>>,
    /// Wait for gdb at this port of 127.0.0.1 before the program's first instruction; 0 is any free one. As a process it is not
    /// taken: gdb attaches by itself.
    pub gdb: Option<u16>,
    /// Deliver a slice this often (ns) whatever the guest asks for. For tests of pre-emption; the guest's own slices
    /// end with the kernel's tick, some 4 ms.
    pub preempt_ns: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: Backend::Process,
            memory: None,
            arguments: None,
            environment: Vec::new(),
            publish: Vec::new(),
            network: Network::Own,
            notify: None,
            debug: None,
            counters: None,
            timeline: None,
            pcap: None,
            trace: None,
            gdb: None,
            preempt_ns: None,
        }
    }
}

/// What can run a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A virtual machine of our own, by KVM.
    Kvm,
    /// A locked-down child process.
    Process,
}

/// Where a port of the machine appears on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The protocol.
    pub protocol: Protocol,
    /// The host's address.
    pub host: SocketAddr,
    /// The machine's port.
    pub port: u16,
}

impl Publish {
    /// Where a port appears that nobody published: at 127.0.0.1 with its own number.
    pub fn default_for(protocol: Protocol, port: u16) -> Self {
        Self { protocol, host: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), port }
    }
}

/// Something that happened while the machine runs, or has to before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The machine waits for a debugger.
    Debugger(Attach),
    /// The machine listens on `port`, which is `host` outside.
    Listening {
        /// The protocol.
        protocol: Protocol,
        /// The machine's port.
        port: u16,
        /// The host's address.
        host: SocketAddr,
    },
    /// Somebody else has the host's port.
    PortInUse {
        /// The protocol.
        protocol: Protocol,
        /// The machine's port.
        port: u16,
        /// The host's address.
        host: SocketAddr,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |p: &Protocol| match p {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        match self {
            Notice::Debugger(attach) => attach.fmt(f),
            Notice::Listening { protocol, port, host } => write!(f, "{} port {port} is at {host}", name(protocol)),
            Notice::PortInUse { protocol, port, host } => {
                let other = host.port().checked_add(1000).unwrap_or(8080);
                write!(
                    f,
                    "{} port {} at {} is in use: stop what listens there, or publish the machine's port elsewhere \
                     (--publish {other}:{port})",
                    name(protocol),
                    host.port(),
                    host.ip(),
                )
            }
        }
    }
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status: the program's own, or one of `abi::vcpu::STATUS_*`.
    pub status: u8,
    /// What the machine died of, where it was not the program's own doing; already on standard error.
    pub report: Option<String>,
}
