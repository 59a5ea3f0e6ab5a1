//! The send queue: what the guest sends goes to the host's socket at once, and the status says how much of it went.

use super::table::Kind;
use super::{Control, Hostnet, failed, first_readable, first_writable};
use crate::capture::flows::{Datagram, Side};
use crate::system::{self, errno};
use crate::{Served, What};
use abi::hostnet::{Address, QUEUE_SEND, SEND_CREDIT, SEND_DATA, SendHeader, SendStatus};

/// The longest UDP payload, in bytes (RFC 768 over IPv4).
const DATAGRAM_MAX: u32 = 65507;

impl Hostnet {
    pub(super) fn serve_sends(&mut self, control: &mut impl Control) -> Result<Served, What> {
        while let Some(chain) = self.queues[QUEUE_SEND].take()? {
            const HEADER: u32 = size_of::<SendHeader>() as u32;
            let request = first_readable(&chain, HEADER as usize)?;
            let answer = first_writable(&chain, size_of::<SendStatus>())?;
            let header: SendHeader = self.ram.read(request.address)?;
            let status = match header.kind {
                SEND_DATA => {
                    if header.length > request.length - HEADER {
                        return Err(What::Header);
                    }
                    let bytes = self.ram.buffer(&request)?.wrapping_add(HEADER as usize);
                    let status = self.send(&header, bytes, control);
                    if status.taken > 0 || status.status == 0 {
                        self.traffic.send(status.taken);
                        self.note_sent(&header, bytes, status.taken);
                    }
                    status
                }
                SEND_CREDIT => self.credit(&header),
                _ => return Err(What::Header),
            };
            self.ram.write(answer.address, &status)?;
            self.queues[QUEUE_SEND].complete(chain.head(), size_of::<SendStatus>() as u32);
        }
        let sent = Served::publish(&mut self.queues[QUEUE_SEND]);
        // Credit may have let a socket go on.
        Ok(sent.and(self.deliver()?))
    }

    /// Writes down what was sent, if somebody wants that.
    fn note_sent(&mut self, header: &SendHeader, bytes: *const u8, taken: u32) {
        let Some(flows) = &mut self.flows else { return };
        match self.table.get(header.socket).map(|socket| socket.kind) {
            Some(Kind::Stream) => flows.bytes(header.socket, Side::Local, bytes, taken),
            Some(Kind::Datagram) => {
                let SendHeader { address, source, segment, .. } = *header;
                let datagram = Datagram { side: Side::Local, peer: address, local: source, segment };
                flows.datagram(header.socket, &datagram, bytes, taken);
            }
            _ => {}
        }
    }

    fn send(&mut self, header: &SendHeader, bytes: *const u8, control: &mut impl Control) -> SendStatus {
        let Some(socket) = self.table.get(header.socket) else { return failed(errno::EBADF) };
        if socket.kind == Kind::Datagram {
            return self.send_datagram(header, bytes, control);
        }
        let Some(descriptor) = socket.descriptor().filter(|_| socket.kind == Kind::Stream) else {
            return failed(errno::ENOTCONN);
        };
        let put = loop {
            let put = system::write(descriptor, bytes, header.length as usize);
            if put != -(errno::EINTR as isize) {
                break put;
            }
        };
        if let Ok(taken) = u32::try_from(put) {
            let short = taken < header.length;
            socket.wants_room |= short;
            return SendStatus { taken, status: if short { -errno::EAGAIN } else { 0 } };
        }
        socket.wants_room |= put == -(errno::EAGAIN as isize);
        SendStatus { taken: 0, status: put as i32 }
    }

    fn send_datagram(&mut self, header: &SendHeader, bytes: *const u8, control: &mut impl Control) -> SendStatus {
        let Some(socket) = self.table.get(header.socket) else { return failed(errno::EBADF) };
        if header.length > DATAGRAM_MAX {
            return failed(errno::EMSGSIZE);
        }
        let plain = header.class == 0 && header.segment == 0 && header.source.family == 0;
        if header.address.family == 0 && plain {
            let Some(descriptor) = socket.descriptor() else { return failed(errno::ENOTCONN) };
            let put = system::write(descriptor, bytes, header.length as usize);
            socket.wants_room |= put == -(errno::EAGAIN as isize);
            return match u32::try_from(put) {
                Ok(taken) => SendStatus { taken, status: 0 },
                Err(_) => SendStatus { taken: 0, status: put as i32 },
            };
        }
        // The first datagram to a peer waits for the verdict; after that they are on their own.
        let wait = socket.allowed != header.address || socket.descriptor().is_none();
        let answer = control.send_to(header, bytes, wait);
        self.adopt(header.socket, &answer, false);
        let status = answer.response.status;
        if let Some(socket) = self.table.get(header.socket) {
            socket.allowed = if status == 0 { header.address } else { Address::default() };
            // The guest waits to be told of room. The event comes here, for the descriptor is the same.
            socket.wants_room |= status == -errno::EAGAIN;
        }
        SendStatus { taken: if status == 0 { header.length } else { 0 }, status }
    }

    fn credit(&mut self, header: &SendHeader) -> SendStatus {
        let Some(socket) = self.table.get(header.socket) else { return failed(errno::EBADF) };
        socket.window = socket.window.saturating_add(header.length).min(socket.window_max);
        self.table.list(header.socket);
        SendStatus::default()
    }
}
