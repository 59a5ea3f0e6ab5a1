//! The jail: what is taken from a machine's keeper once the machine is made.
//!
//! A machine has two processes. The one that runs the guest keeps next to nothing (`process/filter.rs`). This is about the
//! other: the tool, which opens the sockets that the manifest allows. It listens to what the first one says, so a guest that
//! took over the first would try this one next; and then it shall find nothing worth having.
//!
//! | file | what is taken |
//! |---|---|
//! | `identity` | root's rights, where the tool was started with them |
//! | `files` | files, and TCP ports that the manifest does not name (Landlock) |
//! | `calls` | system calls (seccomp) |
//!
//! Each layer stands without the others. Where the host's kernel has no Landlock, that layer is missing and [`Jail`]'s text
//! says so; the other layers are as old as the kernels that a machine runs on at all.
//!
//! Names are looked up by a program of the host's (`sockets/lookup.rs`), which inherits what is left. A manifest whose
//! `net.connect` has names, or `*`, which is any name too, therefore leaves more: files may be read and run, and system calls
//! are those of an ordinary program. That is said too.

mod calls;
mod files;
mod identity;

pub(crate) use identity::drop_root;

use crate::{Backend, Error, Options, Publish};
use abi::manifest::{Host, Manifest, Protocol};
use std::fmt;

/// More ports than this are not listed one by one: the layer then lets all through, and the manifest's check alone holds.
const PORTS_MAX: usize = 4096;

/// TCP ports that stay usable.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    /// These, sorted.
    Only(Vec<u16>),
    /// Any.
    Any,
}

/// What is left to the keeper of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jail {
    bind: Ports,
    connect: Ports,
    /// The machine may look names up.
    names: bool,
    /// A port below 1024 is published.
    low_ports: bool,
}

impl Jail {
    /// For a machine with this manifest, whose ports appear as `publish` says.
    pub fn new(manifest: &Manifest, publish: &[Publish]) -> Self {
        let network = manifest.network.clone().unwrap_or_default();
        let published = |protocol, port| publish.iter().find(|p| (p.protocol, p.port) == (protocol, port));
        let of = |protocol| network.listen.iter().filter(move |listen| listen.protocol == protocol);
        let on_host = |protocol, port| published(protocol, port).map_or(port, |p| p.host.port());
        // Port 0 is a client's own end.
        let tcp = of(Protocol::Tcp).flat_map(|l| l.first_port..=l.last_port).map(|port| on_host(Protocol::Tcp, port));
        let bind = Ports::only(tcp.chain([0]));
        let udp = of(Protocol::Udp).flat_map(|l| l.first_port..=l.last_port).map(|port| on_host(Protocol::Udp, port));
        let is_low = |port: u16| (1..1024).contains(&port);
        let low_ports = bind.any(is_low) || udp.take(PORTS_MAX).any(is_low);
        // Whoever is allowed, by whatever name; see `Network::may_resolve`.
        let names = network.connect.iter().any(|peer| matches!(peer.host, Host::Name(_) | Host::Any));
        let peers = network.connect.iter().filter(|peer| peer.protocol == Protocol::Tcp);
        // A resolver may ask by TCP (RFC 7766).
        let resolver = names.then_some(53);
        let connect = Ports::only(peers.flat_map(|p| p.first_port..=p.last_port).chain(resolver));
        Self { bind, connect, names, low_ports }
    }

    /// Gives everything else up, for good. The process has one thread.
    ///
    /// # Errors
    /// A layer that every kernel has could not be put up.
    pub fn enter(&self) -> Result<(), Error> {
        drop_root(self.low_ports)?;
        rustix::thread::set_no_new_privs(true)
            .map_err(|errno| Error::System { what: "give up new privileges", cause: errno.into() })?;
        no_core()?;
        files::restrict(&self.bind, &self.connect, self.names)?;
        calls::restrict(self.names)
    }
}

/// A core file of the keeper would hold what the machine received.
fn no_core() -> Result<(), Error> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|errno| Error::System { what: "limit core files", cause: errno.into() })
}

impl Ports {
    fn only(ports: impl Iterator<Item = u16>) -> Self {
        let mut list: Vec<u16> = ports.take(PORTS_MAX + 1).collect();
        if list.len() > PORTS_MAX {
            return Ports::Any;
        }
        list.sort_unstable();
        list.dedup();
        Ports::Only(list)
    }

    fn any(&self, is_it: impl Fn(u16) -> bool) -> bool {
        match self {
            Ports::Any => true,
            Ports::Only(list) => list.iter().any(|port| is_it(*port)),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ports::Any => f.write_str("any port"),
            Ports::Only(list) => {
                let words: Vec<String> = list
                    .iter()
                    .map(|p| if *p == 0 { "any that the kernel picks".into() } else { p.to_string() })
                    .collect();
                f.write_str(if words.is_empty() { "no port" } else { "" })?;
                f.write_str(&words.join(", "))
            }
        }
    }
}

impl fmt::Display for Jail {
    /// The layers, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "identity    {}", identity::describe(self.low_ports))?;
        writeln!(f, "privileges  none can be gained (no_new_privs); no core files")?;
        writeln!(f, "files       {}", files::describe_files(self.names))?;
        writeln!(f, "TCP         {}", files::describe_ports(&self.bind, &self.connect))?;
        write!(f, "calls       {}", calls::describe(self.names))
    }
}

/// What the machine's own process keeps on one of our backends, a line each.
pub fn describe_machine(backend: &Backend, manifest: &Manifest, options: &Options) -> String {
    let network = manifest.network.is_some();
    let (numbers, memory) = match backend {
        Backend::Kvm => (
            crate::kvm::system_calls(network),
            "one virtual machine, whose guest lives in ring 3 behind page tables that it cannot reach",
        ),
        Backend::Process => (
            crate::process::system_calls(network),
            "the machine's, sealed; protection of its arena alone can change, and never to executable",
        ),
    };
    let debugger = match (backend, options.gdb) {
        (Backend::Kvm, Some(_)) => {
            "debugger    gdb reads and writes its memory and registers; two more requests of its vCPU (KVM_GET_FPU, \
             KVM_SET_FPU), and the program's code is writable for this process, not for the guest\n"
        }
        (Backend::Process, Some(_)) => "debugger    any process of the same user may attach (ptrace)\n",
        (_, None) => "",
    };
    let capture = if options.pcap.is_some() { ", the file of --pcap" } else { "" };
    let trace = if options.trace.is_some() { ", where the trace goes" } else { "" };
    let sockets = if network { ", and sockets that the tool hands over" } else { "" };
    format!(
        "identity    {}\n\
         privileges  none can be gained (no_new_privs); no core files; it ends with the tool\n\
         files       standard input, output and error, a line to the tool{sockets}{capture}{trace}\n\
         memory      {memory}\n\
         {debugger}\
         calls       {} of them, from one instruction alone, any other ends it: {}",
        identity::describe(false),
        numbers.len(),
        calls::names(&numbers),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::manifest::{Connect, Listen, Network};

    fn manifest(listen: Vec<Listen>, connect: Vec<Connect>) -> Manifest {
        Manifest { network: Some(Network { listen, connect }), ..Manifest::default() }
    }

    fn listen(protocol: Protocol, first_port: u16, last_port: u16) -> Listen {
        Listen { protocol, first_port, last_port }
    }

    fn connect(protocol: Protocol, host: Host, port: u16) -> Connect {
        Connect { protocol, host, first_port: port, last_port: port }
    }

    #[test]
    fn every_call_of_a_machine_has_a_name() {
        for backend in [Backend::Process, Backend::Kvm] {
            let text = describe_machine(&backend, &manifest(vec![], vec![]), &Options::default());
            let calls = text.lines().last().and_then(|line| line.rsplit_once(": ")).expect("a list of calls").1;
            assert!(
                calls.contains("accept4") && !calls.contains(|c: char| c.is_ascii_digit() && !"24".contains(c)),
                "{calls}"
            );
        }
    }

    #[test]
    fn without_a_network_no_port_is_left() {
        let jail = Jail::new(&Manifest::default(), &[]);
        assert_eq!((&jail.bind, &jail.connect), (&Ports::Only(vec![0]), &Ports::Only(vec![])));
        assert!(!jail.names && !jail.low_ports);
    }

    #[test]
    fn ports_are_those_of_the_host() {
        let manifest = manifest(vec![listen(Protocol::Tcp, 80, 81), listen(Protocol::Udp, 53, 53)], vec![]);
        let publish = [Publish { host: ([127, 0, 0, 1], 8080).into(), ..Publish::default_for(Protocol::Tcp, 80) }];
        let jail = Jail::new(&manifest, &publish);
        assert_eq!(jail.bind, Ports::Only(vec![0, 81, 8080]));
        assert!(jail.low_ports);
        let all = manifest_of_everything();
        assert_eq!(Jail::new(&all, &[]).bind, Ports::Any);
    }

    fn manifest_of_everything() -> Manifest {
        manifest(vec![listen(Protocol::Tcp, 0, u16::MAX)], vec![])
    }

    #[test]
    fn names_leave_room_for_a_resolver() {
        let named = connect(Protocol::Tcp, Host::Name("db.example.org".into()), 5432);
        let jail = Jail::new(&manifest(vec![], vec![named]), &[]);
        assert_eq!(jail.connect, Ports::Only(vec![53, 5432]));
        assert!(jail.names && jail.to_string().contains("53, 5432"), "{jail}");
        let by_address = connect(Protocol::Udp, Host::Prefix(vec![10, 0, 0, 0], 8), 5000);
        let jail = Jail::new(&manifest(vec![], vec![by_address]), &[]);
        assert_eq!(jail.connect, Ports::Only(vec![]));
        assert!(!jail.names);
    }

    #[test]
    fn whoever_may_ask_for_a_name_has_a_resolver() {
        for host in [Host::Any, Host::Name("*.org".into()), Host::Prefix(vec![10, 0, 0, 0], 8)] {
            let manifest = manifest(vec![], vec![connect(Protocol::Udp, host, 5000)]);
            let may = manifest.network.as_ref().is_some_and(|network| network.may_resolve("example.org"));
            assert_eq!(Jail::new(&manifest, &[]).names, may, "{manifest:?}");
        }
    }
}
