//! The event queue: what the host's sockets have, in the buffers that the guest has posted.

use super::table::{Kind, Socket};
use super::{Hostnet, first_writable};
use crate::capture::flows::{Datagram, Side};
use crate::system::{self, EPOLL_ERROR, EPOLL_HANG_UP, EPOLL_IN, EPOLL_OUT, EPOLL_READ_END, errno};
use crate::{Ram, Served, What};
use abi::hostnet::{DATAGRAM_OVERHEAD, EVENT_BUFFER_MIN, Event, EventHeader, QUEUE_EVENTS};
use abi::ring::Buffer;

const HEADER: usize = size_of::<EventHeader>();

impl Hostnet {
    /// The epoll set reported `bits` for the socket of this token.
    pub fn event(&mut self, token: u64, bits: u32) {
        let Some(socket) = u32::try_from(token).ok().and_then(|number| self.table.get(number)) else { return };
        let over = bits & (EPOLL_ERROR | EPOLL_HANG_UP) != 0;
        if socket.connecting && (over || bits & EPOLL_OUT != 0) {
            socket.connecting = false;
            // A failed connect shows as the error of the next read.
            socket.tell_connected = !over;
        }
        if over || bits & (EPOLL_IN | EPOLL_READ_END) != 0 {
            socket.readable = true;
        }
        socket.peer_ended |= over || bits & EPOLL_READ_END != 0;
        if socket.wants_room && (over || bits & EPOLL_OUT != 0) {
            socket.wants_room = false;
            socket.tell_writable = true;
        }
        let number = socket.number;
        self.table.list(number);
    }

    /// Fills the guest's buffers with what the listed sockets have.
    pub(super) fn deliver(&mut self) -> Result<Served, What> {
        while let Some(chain) = self.next_buffer()? {
            let buffer = first_writable(&chain, EVENT_BUFFER_MIN as usize)?;
            self.ram.buffer(&buffer)?;
            let mut filled = None;
            while let Some(number) = self.table.take() {
                filled = self.fill(number, &buffer)?;
                self.table.list(number);
                if filled.is_some() {
                    break;
                }
            }
            match filled {
                Some(length) => self.queues[QUEUE_EVENTS].complete(chain.head(), length),
                None => {
                    self.spare = Some(chain);
                    break;
                }
            }
        }
        Ok(Served::publish(&mut self.queues[QUEUE_EVENTS]))
    }

    fn next_buffer(&mut self) -> Result<Option<abi::ring::Chain>, What> {
        match self.spare.take() {
            Some(chain) => Ok(Some(chain)),
            None => Ok(self.queues[QUEUE_EVENTS].take()?),
        }
    }

    /// Puts one event of a socket into a buffer: its bytes, or `None` if there was nothing after all.
    fn fill(&mut self, number: u32, buffer: &Buffer) -> Result<Option<u32>, What> {
        let Some(socket) = self.table.get(number) else { return Ok(None) };
        let mut header = EventHeader { socket: number, ..EventHeader::default() };
        let mut length = 0;
        if core::mem::take(&mut socket.tell_connected) {
            header.event = Event::Connected as u32;
        } else if core::mem::take(&mut socket.tell_writable) {
            header.event = Event::Writable as u32;
        } else {
            let Some(descriptor) = socket.descriptor() else {
                // Nothing can be read from it, and asking again would never end.
                socket.readable = false;
                return Ok(None);
            };
            let got = match socket.kind {
                Kind::Listener => return self.accept(number, descriptor, buffer),
                Kind::Stream => read_stream(socket, descriptor, &self.ram, buffer, &mut header)?,
                Kind::Datagram => read_datagram(socket, descriptor, &self.ram, buffer, &mut header)?,
            };
            match got {
                Some(bytes) => {
                    length = bytes;
                    if header.event == Event::Data as u32 {
                        self.traffic.receive(bytes);
                    }
                }
                None => return Ok(None),
            }
        }
        self.ram.write(buffer.address, &header)?;
        self.note(&header, buffer, length)?;
        Ok(Some(HEADER as u32 + length))
    }

    /// Writes down what an event means on the network, if somebody wants that.
    fn note(&mut self, header: &EventHeader, buffer: &Buffer, length: u32) -> Result<(), What> {
        let Some(flows) = &mut self.flows else { return Ok(()) };
        let number = header.socket;
        let is_datagram = self.table.get(number).is_some_and(|socket| socket.kind == Kind::Datagram);
        let bytes = self.ram.buffer(buffer)?.wrapping_add(HEADER);
        match header.event {
            event if event == Event::Data as u32 && is_datagram => {
                let EventHeader { peer, local, segment, .. } = *header;
                flows.datagram(number, &Datagram { side: Side::Peer, peer, local, segment }, bytes, length);
            }
            event if event == Event::Data as u32 => flows.bytes(number, Side::Peer, bytes, length),
            event if event == Event::Connected as u32 => flows.connected(number),
            event if event == Event::End as u32 => flows.ended(number, Side::Peer),
            event if event == Event::Error as u32 => flows.failed(number),
            _ => {}
        }
        Ok(())
    }

    fn accept(&mut self, number: u32, descriptor: i32, buffer: &Buffer) -> Result<Option<u32>, What> {
        let Some(listener) = self.table.get(number) else { return Ok(None) };
        let (local, v6) = (listener.local, listener.v6);
        let (result, peer) = system::accept(descriptor);
        let Ok(accepted) = i32::try_from(result).and_then(|r| u32::try_from(r).map(|_| r)) else {
            match -result as i32 {
                errno::EAGAIN => listener.readable = false,
                errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM => {
                    listener.readable = false;
                    self.starved = true;
                }
                // This connection is gone already, the next one may be fine (accept(2), "Error handling").
                errno::EINTR | errno::EPERM | 64 | 71 | 92 | 100 | 101 | errno::ECONNABORTED | 112 | 113 => {}
                _ => listener.readable = false,
            }
            return Ok(None);
        };
        let Some(socket) = self.table.insert(Kind::Stream) else {
            // More connections than this machine can have: refused, and the others are unharmed.
            system::close(accepted);
            return Ok(None);
        };
        socket.accepted = true;
        socket.v6 = v6;
        socket.set_descriptor(accepted);
        let value = socket.number;
        if let Some(listener) = self.table.get(number) {
            listener.window -= 1; // it is listed only while there is some
        }
        self.watch(value, accepted);
        if let Some(flows) = &mut self.flows {
            flows.accepted(value, local, peer.address(v6));
        }
        let header = EventHeader {
            event: Event::Accepted as u32,
            socket: number,
            value,
            full_length: 0,
            peer: peer.address(v6),
            local,
            class: 0,
            segment: 0,
        };
        self.ram.write(buffer.address, &header)?;
        Ok(Some(HEADER as u32))
    }

    /// A descriptor became free: listeners that ran dry try again.
    pub(super) fn feed_starved(&mut self) {
        if !core::mem::take(&mut self.starved) {
            return;
        }
        let mut from = 0;
        while let Some((number, next)) = self.table.listener(from) {
            from = next;
            if let Some(listener) = self.table.get(number) {
                listener.readable = true;
                self.table.list(number);
            }
        }
    }
}

/// Reads a stream into what follows the header; `None` if there is nothing to tell.
fn read_stream(
    socket: &mut Socket,
    descriptor: i32,
    ram: &Ram,
    buffer: &Buffer,
    header: &mut EventHeader,
) -> Result<Option<u32>, What> {
    let room = (buffer.length as usize - HEADER).min(socket.window as usize);
    let into = ram.buffer(buffer)?.wrapping_add(HEADER);
    // SAFETY: inside the buffer, which `ram` bounds.
    let got = unsafe { system::read(descriptor, into, room) };
    match u32::try_from(got) {
        Ok(0) => {
            socket.readable = false;
            if core::mem::replace(&mut socket.ended, true) {
                return Ok(None);
            }
            header.event = Event::End as u32;
            Ok(Some(0))
        }
        Ok(length) => {
            // A short read has emptied the socket: the next bytes are a new edge (epoll(7), question 9). The end is none
            // if it was reported together with them, so it is read for.
            socket.readable = length as usize == room || socket.peer_ended;
            socket.window -= length;
            header.event = Event::Data as u32;
            header.value = length;
            Ok(Some(length))
        }
        Err(_) => Ok(failure(socket, -got as i32, header)),
    }
}

/// Reads a datagram into what follows the header.
fn read_datagram(
    socket: &mut Socket,
    descriptor: i32,
    ram: &Ram,
    buffer: &Buffer,
    header: &mut EventHeader,
) -> Result<Option<u32>, What> {
    let room = buffer.length as usize - HEADER;
    let into = ram.buffer(buffer)?.wrapping_add(HEADER);
    // SAFETY: inside the buffer, which `ram` bounds.
    let (got, sender, ancillary) = unsafe { system::receive_datagram(descriptor, into, room) };
    let Ok(full) = u32::try_from(got) else { return Ok(failure(socket, -got as i32, header)) };
    let length = full.min(room as u32);
    socket.window = socket.window.saturating_sub(length + DATAGRAM_OVERHEAD);
    header.event = Event::Data as u32;
    header.value = length;
    header.full_length = full;
    header.peer = sender.address(socket.v6);
    header.local = ancillary.destination(socket.v6);
    header.class = ancillary.class();
    header.segment = ancillary.segment();
    Ok(Some(length))
}

/// What a failed read tells the guest.
fn failure(socket: &mut Socket, error: i32, header: &mut EventHeader) -> Option<u32> {
    match error {
        errno::EAGAIN => {
            socket.readable = false;
            None
        }
        errno::EINTR => None,
        _ => {
            // A datagram socket goes on after an error, a stream does not.
            socket.readable = socket.kind == Kind::Datagram;
            socket.ended = true;
            header.event = Event::Error as u32;
            header.value = error as u32;
            Some(0)
        }
    }
}
