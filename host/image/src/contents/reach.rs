//! What the program can ask of its surroundings: devices, gate calls, C symbols. Whatever else it may be made to do, it has
//! code for nothing more.

use super::graph::{Graph, Node};
use super::owners::{Owners, readable};
use super::sources::Sources;
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
    pub(super) fn read(graph: &Graph, sources: &Sources<'_>, owners: &Owners) -> Reach {
        let mut reach = Reach::default();
        let mut names = BTreeSet::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            if node.is_function && graph.is_reached(index) {
                names.extend(node.names.iter().map(String::as_str));
                names.extend(node.inlined.iter().map(|i| graph.inlined[*i as usize].as_str()));
                reach.c_symbols(node, sources, owners);
            }
        }
        for name in names {
            reach
                .devices
                .extend(Device::ALL.iter().filter(|(_, module)| name.contains(module)).map(|(device, _)| *device));
            let call = name.strip_prefix(GATE_MODULE).and_then(|n| GATE.iter().find(|(function, _)| *function == n));
            reach.gate.extend(call.map(|(_, call)| *call));
        }
        reach
    }

    /// The functions of the library OS that have C names: this one, and those inlined into it.
    fn c_symbols(&mut self, node: &Node, sources: &Sources<'_>, owners: &Owners) {
        let is_libc = |owner| owners.get(owner).name == LIBC;
        if is_libc(node.owner) {
            self.libc.extend(node.symbols.iter().filter(|name| is_c(name)).cloned());
        }
        let (mut at, end) = (node.address, node.address + node.length);
        while at < end {
            let place = sources.place(at);
            for (index, owner) in sources.inlined_at(&place).zip(sources.chain(&place)) {
                let inlined = sources.inlined[index as usize];
                if !inlined.is_mangled && is_libc(owner) && is_c(inlined.name) && !self.libc.contains(inlined.name) {
                    self.libc.insert(inlined.name.to_owned());
                }
            }
            at = place.end;
        }
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
