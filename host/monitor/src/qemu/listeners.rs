//! The sockets at which QEMU's user network takes what it forwards: found, and given a queue.
//!
//! libslirp listens with a backlog of 1 (`tcpx_listen`). When more clients than that come between two turns of QEMU's main
//! loop, the kernel drops their SYNs, or the last acknowledgement of a handshake that the client takes for done: its
//! request then waits for one retransmission after another, and in the end is reset (`TcpExtListenOverflows` counts them).
//! `listen(2)` on a socket that listens already changes its backlog and nothing else, and a parent may copy its child's
//! descriptors (`pidfd_getfd(2)`; Yama's `ptrace_scope` of 1 allows it, 2 and 3 only with CAP_SYS_PTRACE). So the backlog is
//! raised from here as soon as QEMU listens, which is also when the operator may be told so.

use crate::Publish;
use abi::manifest::Protocol;
use rustix::net::{SocketType, getsockname, listen, sockopt};
use rustix::process::{ForeignRawFd, Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// What servers ask for; the kernel takes the lesser of this and `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Between two looks, at first and at most, in ns: QEMU listens some 20 ms after its start.
const FIRST_LOOK_NS: u64 = 2_000_000;
const LAST_LOOK_NS: u64 = 1_000_000_000;

/// What is still to be found.
pub(super) struct Listeners {
    process: u32,
    handle: Option<OwnedFd>,
    wanted: Vec<Publish>,
    next_look_ns: u64,
}

impl Listeners {
    /// For a QEMU that was told to forward `wanted`.
    pub(super) fn new(process: u32, wanted: Vec<Publish>) -> Self {
        let handle = Pid::from_raw(process as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { process, handle, wanted, next_look_ns: FIRST_LOOK_NS }
    }

    /// When to look again, from now; `None` once all are found.
    pub(super) fn timeout_ns(&self) -> Option<u64> {
        (!self.wanted.is_empty()).then_some(self.next_look_ns)
    }

    /// Those that QEMU listens at now, each once. Where its descriptors may not be copied, all are given at once, and keep
    /// their backlog.
    pub(super) fn look(&mut self) -> Vec<Publish> {
        if self.wanted.is_empty() {
            return Vec::new();
        }
        self.next_look_ns = (self.next_look_ns * 2).min(LAST_LOOK_NS);
        let Ok(sockets) = self.sockets() else { return std::mem::take(&mut self.wanted) };
        let mut found = Vec::new();
        for (protocol, address) in sockets {
            let is_it = |p: &Publish| p.protocol == protocol && p.host == address;
            found.extend(self.wanted.iter().position(is_it).map(|at| self.wanted.swap_remove(at)));
        }
        found
    }

    /// The addresses at which QEMU listens; the backlog of each is raised on the way.
    fn sockets(&self) -> std::io::Result<Vec<(Protocol, SocketAddr)>> {
        let handle = self.handle.as_ref().ok_or(std::io::ErrorKind::Unsupported)?;
        let mut out = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{}/fd", self.process))? {
            let entry = entry?;
            let is_socket = std::fs::read_link(entry.path())
                .is_ok_and(|l| l.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
            let number = entry.file_name().to_str().and_then(|name| name.parse::<ForeignRawFd>().ok());
            if let (true, Some(number)) = (is_socket, number) {
                match pidfd_getfd(handle, number, PidfdGetfdFlags::empty()) {
                    Ok(socket) => out.extend(listening(&socket)),
                    // It was closed meanwhile.
                    Err(rustix::io::Errno::BADF) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(out)
    }
}

/// The address of a socket that waits for strangers.
fn listening(socket: &OwnedFd) -> Option<(Protocol, SocketAddr)> {
    let address = SocketAddr::try_from(getsockname(socket).ok()?).ok()?;
    match sockopt::socket_type(socket).ok()? {
        SocketType::DGRAM => Some((Protocol::Udp, address)),
        SocketType::STREAM if sockopt::socket_acceptconn(socket).ok()? => {
            listen(socket, BACKLOG).ok()?;
            Some((Protocol::Tcp, address))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

    #[test]
    fn listeners_are_found_and_get_a_queue() {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listen(&tcp, 1).expect("a backlog of 1");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let publish = |protocol, host| Publish { host, ..Publish::default_for(protocol, 80) };
        let tcp_at = publish(Protocol::Tcp, tcp.local_addr().expect("an address"));
        let udp_at = publish(Protocol::Udp, udp.local_addr().expect("an address"));
        let nowhere = publish(Protocol::Udp, tcp_at.host);
        let mut listeners = Listeners::new(std::process::id(), vec![tcp_at, nowhere, udp_at]);
        let found = listeners.look();
        assert!(found.contains(&tcp_at) && found.contains(&udp_at) && found.len() == 2, "{found:?}");
        assert!(listeners.look().is_empty() && listeners.timeout_ns().is_some());
        // With a backlog of 1 the third of these would wait for a second at least.
        let start = std::time::Instant::now();
        let clients: Vec<_> = (0..32).map(|_| TcpStream::connect(tcp_at.host).expect("a place in the queue")).collect();
        assert!(clients.len() == 32 && start.elapsed().as_millis() < 900, "{:?}", start.elapsed());
    }
}
