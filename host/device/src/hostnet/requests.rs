//! The control queue: passes requests to whoever decides, and takes care of the descriptors that come back.

use super::table::Kind;
use super::{Answer, Control, Hostnet, first_readable, first_writable};
use crate::capture::flows::Side;
use crate::system::{self, errno};
use crate::{Served, What};
use abi::address::BusAddr;
use abi::hostnet::{Address, Operation, QUEUE_CONTROL, Request, Response};
use abi::ring::Buffer;

/// The longest DNS name in text, in bytes (RFC 1035 §2.3.4).
const NAME_MAX: usize = 255;

/// A name that is being looked up: where its answer goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    head: u16,
    answer: Buffer,
}

impl Hostnet {
    pub(super) fn serve_requests(&mut self, control: &mut impl Control) -> Result<Served, What> {
        while let Some(chain) = self.queues[QUEUE_CONTROL].take()? {
            let asked = first_readable(&chain, size_of::<Request>())?;
            let answer = first_writable(&chain, size_of::<Response>())?;
            self.ram.buffer(&answer)?;
            let request: Request = self.ram.read(asked.address)?;
            let response = if request.operation == Operation::Resolve as u32 {
                match self.look_up(&request, &asked, Lookup { head: chain.head(), answer }, control)? {
                    Ok(()) => continue,
                    Err(errno) => Response { status: -errno, ..Response::default() },
                }
            } else {
                self.request(request, control)
            };
            self.ram.write(answer.address, &response)?;
            self.queues[QUEUE_CONTROL].complete(chain.head(), size_of::<Response>() as u32);
        }
        Ok(Served::publish(&mut self.queues[QUEUE_CONTROL]))
    }

    /// A look-up has ended: `status` is 0 or a negative errno.
    ///
    /// # Errors
    /// [`crate::Nonsense`] ends the machine.
    pub fn resolved(
        &mut self,
        token: u32,
        status: i32,
        addresses: impl Iterator<Item = Address>,
    ) -> Result<Served, crate::Nonsense> {
        let Some(lookup) = self.lookups.get_mut(token as usize).and_then(Option::take) else {
            return Ok(Served::default());
        };
        let served = self.finish(&lookup, status, addresses);
        served.map_err(|what| crate::Nonsense { device: "hostnet", queue: "control", what })
    }

    fn finish(
        &mut self,
        lookup: &Lookup,
        status: i32,
        addresses: impl Iterator<Item = Address>,
    ) -> Result<Served, What> {
        const HEADER: usize = size_of::<Response>();
        const EACH: usize = size_of::<Address>();
        let room = (lookup.answer.length as usize - HEADER) / EACH;
        let mut count = 0;
        for address in addresses.take(room) {
            let at = BusAddr(lookup.answer.address.0 + (HEADER + count * EACH) as u64);
            self.ram.write(at, &address)?;
            count += 1;
        }
        let response = Response { status, value: count as u32, ..Response::default() };
        self.ram.write(lookup.answer.address, &response)?;
        self.queues[QUEUE_CONTROL].complete(lookup.head, (HEADER + count * EACH) as u32);
        Ok(Served::publish(&mut self.queues[QUEUE_CONTROL]))
    }

    /// The outer error is the guest's nonsense, the inner one an errno.
    fn look_up(
        &mut self,
        request: &Request,
        asked: &Buffer,
        lookup: Lookup,
        control: &mut impl Control,
    ) -> Result<Result<(), i32>, What> {
        let length = request.argument as usize;
        if length > asked.length as usize - size_of::<Request>() {
            return Err(What::Header);
        }
        if length == 0 || length > NAME_MAX {
            return Ok(Err(errno::EINVAL));
        }
        let Some(token) = self.lookups.iter().position(Option::is_none) else { return Ok(Err(errno::ENOBUFS)) };
        let mut name = [0u8; NAME_MAX];
        let name = &mut name[..length];
        self.ram.read_bytes(BusAddr(asked.address.0 + size_of::<Request>() as u64), name)?;
        let started = control.resolve(token as u32, name);
        if started.is_ok() {
            self.lookups[token] = Some(lookup);
        }
        Ok(started)
    }

    fn request(&mut self, mut request: Request, control: &mut impl Control) -> Response {
        let Some(operation) = operation(request.operation) else { return error(errno::EINVAL) };
        if operation == Operation::Open {
            return self.open(&mut request, control);
        }
        let Some(socket) = self.table.get(request.socket) else { return error(errno::EBADF) };
        let (accepted, descriptor) = (socket.accepted, socket.descriptor());
        match (operation, descriptor) {
            (Operation::Close, _) => return self.close(&request, control),
            // No peer and no port is named: the host's socket can be asked without asking anybody.
            (Operation::Shutdown, Some(descriptor)) => {
                if request.argument > 2 {
                    return error(errno::EINVAL);
                }
                let status = system::shutdown(descriptor, request.argument) as i32;
                if let Some(flows) = self.flows.as_mut().filter(|_| status == 0 && request.argument != 0) {
                    flows.ended(request.socket, Side::Local);
                }
                return Response { status, ..Response::default() };
            }
            (Operation::Shutdown, None) => return error(errno::ENOTCONN),
            _ => {}
        }
        let answer = control.request(&request, descriptor.filter(|_| accepted));
        let done = answer.response.status == 0;
        if done && operation == Operation::Listen {
            self.listens(&request, &answer);
        }
        let connecting = operation == Operation::Connect && done;
        if let Some(flows) = self.flows.as_mut().filter(|_| done) {
            match operation {
                Operation::Bind => flows.bound(request.socket, answer.response.address),
                Operation::Connect => flows.connects(request.socket, answer.response.address, request.address),
                _ => {}
            }
        }
        self.adopt(request.socket, &answer, connecting);
        answer.response
    }

    fn listens(&mut self, request: &Request, answer: &Answer) {
        let Some(socket) = self.table.get(request.socket) else { return };
        let backlog = request.argument.clamp(1, 4096);
        if socket.kind != Kind::Listener {
            socket.window = backlog;
        }
        socket.kind = Kind::Listener;
        socket.window_max = backlog;
        socket.local = answer.response.address;
    }

    fn open(&mut self, request: &mut Request, control: &mut impl Control) -> Response {
        let kind = match (request.argument, request.address.family) {
            (1, 4 | 6) => Kind::Stream,
            (2, 4 | 6) => Kind::Datagram,
            _ => return error(errno::EINVAL),
        };
        let Some(socket) = self.table.insert(kind) else { return error(errno::EMFILE) };
        socket.v6 = request.address.family == 6;
        let number = socket.number;
        request.socket = number;
        let answer = control.request(request, None);
        if answer.response.status != 0 {
            self.table.remove(number);
            return answer.response;
        }
        if let Some(flows) = &mut self.flows {
            flows.opened(number, kind == Kind::Stream);
        }
        self.adopt(number, &answer, false);
        Response { socket: number, ..answer.response }
    }

    fn close(&mut self, request: &Request, control: &mut impl Control) -> Response {
        if let Some(socket) = self.table.get(request.socket) {
            let (accepted, descriptor) = (socket.accepted, socket.descriptor());
            if let Some(descriptor) = descriptor {
                system::close(descriptor);
            }
            if !accepted {
                control.request(request, None);
            }
            self.table.remove(request.socket);
            if let Some(flows) = &mut self.flows {
                flows.closed(request.socket);
            }
            self.feed_starved();
        }
        Response::default()
    }

    /// Takes the descriptor that an answer brought, and watches it.
    pub(super) fn adopt(&mut self, number: u32, answer: &Answer, connecting: bool) {
        let Some(descriptor) = answer.descriptor else { return };
        let Some(socket) = self.table.get(number) else { return system::close(descriptor) };
        if let Some(old) = socket.descriptor() {
            // The same socket once more, or its successor: there is one descriptor a socket.
            system::close(old);
        }
        socket.set_descriptor(descriptor);
        socket.connecting = connecting && socket.kind == Kind::Stream;
        self.watch(number, descriptor);
    }

    /// Puts a descriptor into the epoll set. Fails only without memory; the socket then stays silent.
    pub(super) fn watch(&self, number: u32, descriptor: i32) {
        const EVENTS: u32 = system::EPOLL_IN | system::EPOLL_OUT | system::EPOLL_READ_END | system::EPOLL_EDGE;
        system::epoll_add(self.set, descriptor, EVENTS, u64::from(number));
    }
}

fn operation(number: u32) -> Option<Operation> {
    use Operation::*;
    let all = [Open, Bind, Listen, Connect, Shutdown, Close, SetOption, GetOption, LocalAddress, Resolve];
    all.into_iter().find(|o| *o as u32 == number)
}

fn error(errno: i32) -> Response {
    Response { status: -errno, ..Response::default() }
}
