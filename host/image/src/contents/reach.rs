//! What the program can ask of its surroundings: devices, gate calls, C symbols. Whatever else it may be made to do, it has
//! code for nothing more.

use super::graph::Graph;
use super::owners::{Owners, readable};
use crate::record::Record;
use std::collections::BTreeSet;

/// A device that the image has a driver for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// The console.
    Console,
    /// Entropy.
    Entropy,
    /// The host's sockets.
    HostSockets,
    /// Ethernet frames.
    Net,
}

impl Device {
    /// All of them, with the modules of their drivers.
    pub const ALL: [(Device, &str); 4] = [
        (Device::Console, "ampoule_virtio::console"),
        (Device::Entropy, "ampoule_virtio::entropy"),
        (Device::HostSockets, "ampoule_virtio::host_sockets"),
        (Device::Net, "ampoule_virtio::net"),
    ];

    /// Its name, for a person.
    pub fn name(self) -> &'static str {
        match self {
            Device::Console => "console",
            Device::Entropy => "entropy",
            Device::HostSockets => "host sockets",
            Device::Net => "network card",
        }
    }
}

/// The gate's calls, by the functions of the library OS that make them.
const GATE: [(&str, &str); 10] = [
    ("backtrace", "log"),
    ("exit", "exit"),
    ("kick", "kick"),
    ("log", "log"),
    ("map", "map"),
    ("protect", "protect"),
    ("slice", "slice"),
    ("unmap", "unmap"),
    ("upcall", "upcall"),
    ("wait", "wait"),
];
const GATE_MODULE: &str = "ampoule_machine::gate::";
const LIBC: &str = "ampoule-libc";
const LIBC_MODULE: &str = "ampoule_libc::";

/// What is in reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Devices that it has drivers for. The manifest says which of them there are.
    pub devices: BTreeSet<Device>,
    /// Calls of the gate, by their names in `abi`.
    pub gate: BTreeSet<&'static str>,
    /// C symbols of the library OS that are in the image.
    pub libc: BTreeSet<String>,
}

impl Reach {
    /// `record` knows which of the library OS's functions have C names, where they were inlined.
    pub(super) fn read(graph: &Graph, record: Option<&Record>, owners: &Owners) -> Reach {
        let mut reach = Reach::default();
        let offered: BTreeSet<&str> = record.iter().flat_map(|r| &r.libc_symbols).map(String::as_str).collect();
        let mut names = BTreeSet::new();
        for (_, node) in graph.nodes.iter().enumerate().filter(|(index, n)| n.is_function && graph.is_reached(*index)) {
            names.extend(node.names.iter().map(String::as_str));
            names.extend(node.inlined.iter().map(|i| graph.inlined[*i as usize].as_str()));
            if owners.get(node.owner).name == LIBC {
                reach.libc.extend(node.symbols.iter().filter(|name| is_c(name)).cloned());
            }
        }
        for name in names {
            reach
                .devices
                .extend(Device::ALL.iter().filter(|(_, module)| name.contains(module)).map(|(device, _)| *device));
            let call = name.strip_prefix(GATE_MODULE).and_then(|n| GATE.iter().find(|(function, _)| *function == n));
            reach.gate.extend(call.map(|(_, call)| *call));
            let last = name.strip_prefix(LIBC_MODULE).and_then(|path| path.rsplit("::").next());
            reach.libc.extend(last.filter(|last| offered.contains(last)).map(String::from));
        }
        reach
    }
}

/// A name that C code could call; not one that the library OS keeps for itself.
fn is_c(name: &str) -> bool {
    !name.is_empty()
        && readable(name) == name
        && !name.starts_with("ampoule_")
        && !name.starts_with("rust_")
        && !name.contains([':', '{', '<', '.'])
}
