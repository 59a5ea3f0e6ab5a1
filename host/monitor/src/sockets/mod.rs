//! The host's sockets on behalf of a machine: opened here, and only as the manifest allows.
//!
//! | file | what it does |
//! |---|---|
//! | `policy` | may it? and where does a port of the machine appear on the host? |
//! | `address` | addresses, between what the guest says, what is checked, and what the kernel wants |
//! | `open` | one open socket |
//! | `options` | its options |
//! | `system` | system calls that the safe wrappers do not know |
//! | `lookup` | names, by the host's resolver |
//!
//! Whoever serves the machine's data path (the child of the process tender; under KVM the same process) gets each
//! descriptor once, when it has come to exist, and this side keeps a copy for what is asked later.
//!
//! # What is allowed
//! * **Listening** (TCP) and **receiving** (UDP) on a port of `listen`. A UDP socket on such a port may answer anybody:
//!   that is what a server does, and nobody but the kernel could tell an answer from another datagram.
//! * **Connecting** and **sending** to a peer of `connect`: by address, or by a name that this machine has looked up here.
//!   An IPv4 address inside an IPv6 one is checked as the IPv4 address that it is, and 0.0.0.0 as the loopback it means.

mod address;
mod lookup;
mod open;
mod options;
mod policy;
mod system;

pub use lookup::Lookup;

use crate::{Notice, Publish};
use abi::hostnet::{Address, Operation, Request, Response, SendHeader, SocketOption};
use abi::manifest::{self, Protocol};
use open::Open;
use policy::Policy;
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Sockets that a machine may have here at once; connections it accepted are not counted.
const SOCKETS_MAX: usize = 4096;

/// The sockets of one machine.
#[derive(Debug)]
pub struct HostSockets {
    policy: Policy,
    sockets: HashMap<u32, Open>,
    notify: Option<fn(&Notice)>,
    has_listened: bool,
    /// Ports whose trouble was told already.
    told: Vec<(Protocol, u16)>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The answer itself.
    pub response: Response,
    /// The socket's descriptor, if it has just come to exist.
    pub descriptor: Option<BorrowedFd<'a>>,
}

impl HostSockets {
    /// The sockets of a machine with this policy.
    pub fn new(rules: manifest::Policy, publish: Vec<Publish>, notify: Option<fn(&Notice)>) -> Self {
        Self {
            policy: Policy::new(rules, publish),
            sockets: HashMap::new(),
            notify,
            has_listened: false,
            told: Vec::new(),
        }
    }

    /// Carries a request out. `accepted` is the descriptor, where the request concerns an accepted connection.
    pub fn request(&mut self, request: &Request, accepted: Option<&OwnedFd>) -> Answer<'_> {
        let response = match self.carry_out(request, accepted) {
            Ok(response) => response,
            Err(errno) => Response { status: -errno.raw_os_error(), ..Response::default() },
        };
        Answer { response, descriptor: self.hand_out(request.socket) }
    }

    /// Sends a datagram to a peer; the answer's status is what became of it.
    pub fn send_to(&mut self, header: &SendHeader, bytes: &[u8]) -> Answer<'_> {
        let number = header.socket;
        let result = match self.sockets.get_mut(&number) {
            Some(socket) => socket.send_to(&self.policy, header, bytes),
            None => Err(Errno::BADF),
        };
        let status = result.map_or_else(|errno| -errno.raw_os_error(), |()| 0);
        Answer { response: Response { status, ..Response::default() }, descriptor: self.hand_out(number) }
    }

    /// Starts to look a name up.
    ///
    /// # Errors
    /// `ACCESS` where the manifest names no such peer, `INVAL` for what is no name.
    pub fn look_up(&self, name: &[u8]) -> Result<Lookup, Errno> {
        let name = lookup::checked(name).ok_or(Errno::INVAL)?;
        if !self.policy.may_resolve(&name) {
            return Err(Errno::ACCESS);
        }
        Lookup::start(name)
    }

    /// Remembers what a name led to: the policy knows peers by it.
    pub fn learn(&mut self, name: &str, addresses: &[Address]) {
        self.policy.learn(name, addresses);
    }

    fn hand_out(&mut self, number: u32) -> Option<BorrowedFd<'_>> {
        let socket = self.sockets.get_mut(&number)?;
        if !socket.hand_out() {
            return None;
        }
        socket.descriptor().map(AsFd::as_fd)
    }

    fn carry_out(&mut self, request: &Request, accepted: Option<&OwnedFd>) -> Result<Response, Errno> {
        let operation = operation(request.operation).ok_or(Errno::INVAL)?;
        if let Some(accepted) = accepted {
            return of_accepted(operation, request, accepted);
        }
        match operation {
            Operation::Open => return self.open(request),
            Operation::Close => {
                self.sockets.remove(&request.socket);
                return Ok(Response::default());
            }
            _ => {}
        }
        let socket = self.sockets.get_mut(&request.socket).ok_or(Errno::BADF)?;
        let address = match operation {
            Operation::Bind => {
                let bound = socket.bind(&self.policy, &request.address);
                return self.tell_trouble(request.socket, bound);
            }
            Operation::Listen => {
                let (address, notice) = socket.listen(&self.policy, request.argument)?;
                self.tell(&notice);
                address
            }
            Operation::Connect => socket.connect(&self.policy, &request.address)?,
            Operation::LocalAddress => socket.local(),
            Operation::SetOption => {
                socket.set_option(option(request.argument)?, request.value)?;
                Address::default()
            }
            Operation::GetOption => {
                let value = socket.option(option(request.argument)?)?;
                return Ok(Response { value, ..Response::default() });
            }
            // The data path does these by itself.
            _ => return Err(Errno::INVAL),
        };
        Ok(Response { address, ..Response::default() })
    }

    fn open(&mut self, request: &Request) -> Result<Response, Errno> {
        if self.sockets.len() >= SOCKETS_MAX {
            return Err(Errno::MFILE);
        }
        let protocol = match request.argument {
            1 => Protocol::Tcp,
            2 => Protocol::Udp,
            _ => return Err(Errno::PROTONOSUPPORT),
        };
        let v6 = match request.address.family {
            4 => false,
            6 => true,
            _ => return Err(Errno::AFNOSUPPORT),
        };
        self.sockets.insert(request.socket, Open::new(protocol, v6));
        Ok(Response { socket: request.socket, ..Response::default() })
    }

    fn tell_trouble(&mut self, number: u32, bound: Result<Address, open::BindError>) -> Result<Response, Errno> {
        let protocol = self.sockets.get(&number).map_or(Protocol::Tcp, Open::protocol);
        match bound {
            Ok(address) => {
                if protocol == Protocol::Udp
                    && let Some(notice) = self.sockets.get(&number).and_then(Open::receives)
                {
                    self.tell(&notice);
                }
                Ok(Response { address, ..Response::default() })
            }
            Err(open::BindError::Errno(errno)) => Err(errno),
            Err(open::BindError::InUse { port, host }) => {
                if !self.told.contains(&(protocol, port)) {
                    self.told.push((protocol, port));
                    self.tell(&Notice::PortInUse { protocol, port, host });
                }
                Err(Errno::ADDRINUSE)
            }
        }
    }

    /// Has a port of the machine's come to be reached?
    pub(crate) fn has_listened(&self) -> bool {
        self.has_listened
    }

    fn tell(&mut self, notice: &Notice) {
        self.has_listened |= matches!(notice, Notice::Listening { .. });
        if let Some(notify) = self.notify {
            notify(notice);
        }
    }
}

/// What can be asked of a connection that the data path accepted.
fn of_accepted(operation: Operation, request: &Request, socket: &OwnedFd) -> Result<Response, Errno> {
    match operation {
        Operation::SetOption => {
            options::set(socket, option(request.argument)?, request.value)?;
            Ok(Response::default())
        }
        Operation::GetOption => {
            let value = options::get(socket, option(request.argument)?)?;
            Ok(Response { value, ..Response::default() })
        }
        Operation::LocalAddress => {
            let address = address::to_guest(rustix::net::getsockname(socket)?.try_into()?, false);
            Ok(Response { address, ..Response::default() })
        }
        _ => Err(Errno::INVAL),
    }
}

fn operation(number: u32) -> Option<Operation> {
    use Operation::*;
    let all = [Open, Bind, Listen, Connect, Shutdown, Close, SetOption, GetOption, LocalAddress, Resolve];
    all.into_iter().find(|o| *o as u32 == number)
}

fn option(number: u32) -> Result<SocketOption, Errno> {
    options::ALL.into_iter().find(|o| *o as u32 == number).ok_or(Errno::NOPROTOOPT)
}
