//! Internet sockets as files and as sockets.

use device::{Ancillary, Family, How, Kind as Type, Ready, SocketId, SocketOption, Stack};

use super::{Connect, ENDS, End, Inet, hint, outer};
use crate::ancillary::Wants;
use crate::errno::{Errno, Result};
use crate::events;
use crate::file::{File, Kind, Open};
use crate::observe::Observers;
use crate::options::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP};
use crate::outside;
use crate::socket::{AF_INET, AF_INET6, Address, DATAGRAM, Received, STREAM, Socket};
use crate::stat::{self, Stat};
use core::net::SocketAddr;
use device::Watch as _;

impl File for Inet {
    #[inline]
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        Socket::receive(self, buffer, false).map(|r| r.length)
    }

    #[inline]
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        Socket::send(self, bytes, None)
    }

    fn ready(&self) -> u32 {
        let mut ready = None;
        for (stack, id) in self.present() {
            ready = Some(ready.unwrap_or_default() | stack.ready(id));
        }
        if self.kind == Type::Stream && self.state.lock().refusal != 0 {
            return events::READABLE | events::WRITABLE | events::RDHUP | events::ERR | events::HUP;
        }
        match (ready, self.kind) {
            (Some(ready), _) => events::of(ready),
            (None, Type::Stream) => events::WRITABLE | events::HUP,
            (None, Type::Datagram) => events::WRITABLE,
        }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.observers)
    }

    fn stat(&self) -> Stat {
        Stat::special(stat::SOCKET | 0o777)
    }

    fn available(&self) -> Result<usize> {
        Ok(self.present().map(|(stack, id)| stack.available(id)).find(|bytes| *bytes > 0).unwrap_or(0))
    }

    fn timeout_ns(&self, writing: bool) -> u64 {
        self.timeouts.get(writing)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Socket(self)
    }
}

/// A stream that is not connected, a listener too, has nobody to send to (`EPIPE`).
fn nobody(error: Errno) -> Errno {
    if error == Errno::NOTCONN { Errno::PIPE } else { error }
}

/// Sends, with what goes along if there is something.
#[inline]
fn put(stack: &dyn Stack, id: SocketId, bytes: &[u8], to: Option<SocketAddr>, ancillary: &Ancillary) -> Result<usize> {
    Ok(match *ancillary == Ancillary::default() {
        true => stack.send(id, bytes, to)?,
        false => stack.send_with(id, bytes, to, ancillary)?,
    })
}

impl Socket for Inet {
    fn family_and_type(&self) -> (u32, u32) {
        let family = if matches!(self.family, Family::V4) { AF_INET } else { AF_INET6 };
        (family, if self.kind == Type::Stream { STREAM } else { DATAGRAM })
    }

    #[inline]
    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<Received> {
        self.take(buffer, peek, None)
    }

    fn receive_with(&self, buffer: &mut [u8], peek: bool) -> Result<(Received, Ancillary)> {
        let mut along = Ancillary::default();
        let received = self.take(buffer, peek, Some(&mut along))?;
        Ok((received, along))
    }

    fn wants(&self) -> Wants {
        let is_set = |level, name| self.remembered(level, name).is_some_and(|value| value != 0);
        Wants {
            destination_v4: is_set(IPPROTO_IP, 8),
            destination_v6: is_set(IPPROTO_IPV6, 49),
            class_v4: is_set(IPPROTO_IP, 13),
            class_v6: is_set(IPPROTO_IPV6, 66),
            segment: is_set(IPPROTO_UDP, 104),
            v6: self.family == Family::V6,
        }
    }

    #[inline]
    fn send(&self, bytes: &[u8], to: Option<Address>) -> Result<usize> {
        self.send_with(bytes, to, &Ancillary::default())
    }

    fn send_with(&self, bytes: &[u8], to: Option<Address>, ancillary: &Ancillary) -> Result<usize> {
        let mut ancillary = *ancillary;
        if self.kind == Type::Datagram {
            ancillary.segment = self.segment(ancillary.segment, bytes.len())?;
        }
        let to = match to {
            // A stream's destination is where it is connected to; Linux ignores the address as well.
            Some(Address::Inet(address)) if self.kind == Type::Datagram => {
                Some(Inet::destination(self.peer_of_family(address)?))
            }
            Some(Address::Unix(_)) => return Err(Errno::AFNOSUPPORT),
            _ => None,
        };
        let Some(address) = to else {
            let missing = if self.kind == Type::Stream { Errno::PIPE } else { Errno::DESTADDRREQ };
            let connected = self.at(End::Outer).or_else(|| self.at(End::Inner));
            let (stack, id) = connected.ok_or(missing)?;
            let sent = put(stack, id, bytes, None, &ancillary);
            return if self.kind == Type::Stream { sent.map_err(nobody) } else { sent };
        };
        if address.port() == 0 {
            return Err(Errno::INVAL);
        }
        let mut end = End::towards(address.ip());
        {
            let state = self.state.lock();
            if end == End::Inner && state.host_peers.has(address) {
                end = End::Outer;
            }
            if self.at(end).is_none() && state.bound {
                return Err(Errno::NETUNREACH);
            }
        }
        let (stack, id) = self.ensure(end)?;
        put(stack, id, bytes, Some(address), &ancillary)
    }

    fn shutdown(&self, receive: bool, send: bool) -> Result<()> {
        let how = match (receive, send) {
            (true, true) => How::Both,
            (true, false) => How::Receive,
            (false, true) => How::Send,
            (false, false) => return Err(Errno::INVAL),
        };
        let mut result = Err(Errno::NOTCONN);
        for (stack, id) in self.present() {
            let answer = stack.shutdown(id, how).map_err(Errno::from);
            result = if result.is_ok() { result } else { answer };
        }
        result
    }

    fn local(&self) -> Result<Address> {
        let end = self.at(End::Outer).or_else(|| self.at(End::Inner));
        Ok(Address::Inet(match end {
            Some((stack, id)) => stack.local(id)?,
            None => self.wildcard(),
        }))
    }

    fn peer(&self) -> Result<Address> {
        let (stack, id) = self.at(End::Outer).or_else(|| self.at(End::Inner)).ok_or(Errno::NOTCONN)?;
        Ok(Address::Inet(stack.peer(id)?))
    }

    fn bind(&self, address: SocketAddr) -> Result<()> {
        let address = self.of_family(address)?;
        if self.state.lock().bound {
            return Err(Errno::INVAL);
        }
        let ip = address.ip().to_canonical();
        if ip.is_unspecified() || outside::is_own_address(ip) {
            self.bind_everywhere(address)?;
        } else {
            let end = End::towards(ip);
            if end.stack().is_none() {
                hint();
                return Err(Errno::ADDRNOTAVAIL);
            }
            let (stack, id) = self.ensure(end)?;
            stack.bind(id, address)?;
        }
        let mut state = self.state.lock();
        state.bound = true;
        state.at = Some(address);
        Ok(())
    }

    fn disconnect(&self) -> Result<()> {
        ENDS.into_iter().for_each(|end| self.forget(end));
        let at = {
            let mut state = self.state.lock();
            state.bound = false;
            state.listening = false;
            state.connect = Connect::Not;
            state.refusal = 0;
            state.at.take()
        };
        // What the program has bound stays bound.
        at.map_or(Ok(()), |at| self.bind(at))
    }

    fn listen(&self, backlog: u32) -> Result<()> {
        if self.kind != Type::Stream {
            return Err(Errno::OPNOTSUPP);
        }
        if !self.state.lock().bound {
            self.bind(self.wildcard())?;
        }
        for (stack, id) in self.present() {
            stack.listen(id, backlog)?;
        }
        self.state.lock().listening = true;
        if outer().is_none() && self.is_wildcard() {
            hint();
        }
        Ok(())
    }

    fn connect(&self, address: SocketAddr) -> Result<()> {
        let address = Inet::destination(self.peer_of_family(address)?);
        if self.kind == Type::Stream {
            let mut state = self.state.lock();
            match state.connect {
                Connect::Done => return Err(Errno::ISCONN),
                Connect::Started => {
                    drop(state);
                    return match self.connected() {
                        Err(Errno::AGAIN) => Err(Errno::ALREADY),
                        done => done,
                    };
                }
                Connect::Not if state.listening => return Err(Errno::ISCONN),
                Connect::Not => state.connect = Connect::Started,
            }
        }
        let end = End::towards(address.ip());
        let result = self.ensure(end).and_then(|(stack, id)| {
            self.forget(if end == End::Inner { End::Outer } else { End::Inner });
            Ok(stack.connect(id, address)?)
        });
        let mut state = self.state.lock();
        // Linux never ends a stream's connect within the call that begins it, not even inside the machine.
        let result = match (result, self.kind) {
            (Ok(()), Type::Stream) => Err(Errno::INPROGRESS),
            (Err(Errno::CONNREFUSED), Type::Stream) => {
                state.refusal = Errno::CONNREFUSED.0 as u32;
                Err(Errno::INPROGRESS)
            }
            (result, _) => result,
        };
        state.connect = match result {
            Ok(()) => Connect::Done,
            Err(Errno::INPROGRESS) => Connect::Started,
            Err(_) => Connect::Not,
        };
        state.bound |= result.is_ok() || result == Err(Errno::INPROGRESS);
        let refused = state.refusal != 0;
        drop(state);
        if refused {
            self.observers.changed();
        }
        result
    }

    fn connected(&self) -> Result<()> {
        match self.take_refusal() {
            0 => {}
            errno => return Err(Errno(errno as i32)),
        }
        let (stack, id) = self.at(End::Outer).or_else(|| self.at(End::Inner)).ok_or(Errno::NOTCONN)?;
        let ready = stack.ready(id);
        let broken = ready.0 & (Ready::ERROR | Ready::HANG_UP).0 != 0;
        if !broken && ready.0 & (Ready::READ | Ready::WRITE).0 == 0 {
            return Err(Errno::AGAIN);
        }
        let error = if broken { stack.option(id, SocketOption::Error).unwrap_or(0) } else { 0 };
        let result = match error {
            0 if broken && !ready.contains(Ready::WRITE) => Err(Errno::CONNREFUSED),
            0 => Ok(()),
            number => Err(Errno(number as i32)),
        };
        self.state.lock().connect = if result.is_ok() { Connect::Done } else { Connect::Not };
        result
    }

    fn accept(&self, flags: u32) -> Result<(Open, Option<Address>)> {
        if !self.state.lock().listening {
            return Err(if self.kind == Type::Stream { Errno::INVAL } else { Errno::OPNOTSUPP });
        }
        let accepted = self.either(|end, stack, id| stack.accept(id).map(|new| (end, new)).map_err(Errno::from));
        let (end, (id, peer)) = accepted.unwrap_or(Err(Errno::INVAL))?;
        let options = self.state.lock().options.clone();
        let open = Inet::open(self.family, self.kind, Some((end, id)), flags, options);
        Ok((open, Some(Address::Inet(peer))))
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<()> {
        self.set(level, name, value)
    }

    fn option(&self, level: u32, name: u32, value: &mut [u8]) -> Result<usize> {
        self.get(level, name, value)
    }
}
