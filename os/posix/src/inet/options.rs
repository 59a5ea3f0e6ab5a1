//! Options of internet sockets: what [`crate::options`] knows of each, and what the stacks are told.

use device::{Family, Kind as Type, SocketOption};

use super::Inet;
use crate::errno::{Errno, Result};
use crate::options::{
    self, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, SO_ACCEPTCONN, SO_ERROR, SO_LINGER, SOL_SOCKET, UDP_SEGMENT,
};
use crate::socket::Socket;

/// Where `SO_LINGER`, which is no number, stands among the options that a socket remembers: seconds + 1, 0 for off.
const LINGER: u8 = u8::MAX;
/// The most datagrams in one send (`UDP_MAX_SEGMENTS`), and the most bytes in all.
const SEGMENTS_MAX: usize = 128;
const BYTES_MAX: usize = 65507;

impl Inet {
    fn remember(&self, index: u8, value: u32) -> Result<()> {
        let mut state = self.state.lock();
        match state.options.iter_mut().find(|o| o.0 == index) {
            Some(option) => option.1 = value,
            None => {
                state.options.try_reserve(1).map_err(|_| Errno::NOBUFS)?;
                state.options.push((index, value));
            }
        }
        Ok(())
    }

    fn at_index(&self, index: u8) -> Option<u32> {
        self.state.lock().options.iter().find(|o| o.0 == index).map(|o| o.1)
    }

    fn find(&self, level: u32, name: u32) -> Option<(u8, &'static options::Entry)> {
        options::find(level, name, self.family == Family::V6, self.kind == Type::Stream)
    }

    /// What an option was set to, if it was.
    pub(super) fn remembered(&self, level: u32, name: u32) -> Option<u32> {
        self.at_index(self.find(level, name)?.0)
    }

    /// How a datagram of so many bytes is cut: as it says itself, or as `UDP_SEGMENT` says.
    pub(super) fn segment(&self, own: u16, length: usize) -> Result<u16> {
        let segment = match own {
            0 => self.remembered(IPPROTO_UDP, UDP_SEGMENT).unwrap_or(0) as u16,
            own => own,
        };
        match usize::from(segment) {
            0 => Ok(0),
            size if length <= size => Ok(0),
            size if length.div_ceil(size) > SEGMENTS_MAX => Err(Errno::INVAL),
            _ if length > BYTES_MAX => Err(Errno::MSGSIZE),
            _ => Ok(segment),
        }
    }

    /// The options that an end is to be given when it is made, as its stack knows them.
    pub(super) fn of_stack(options: &[(u8, u32)]) -> impl Iterator<Item = (SocketOption, u32)> {
        options.iter().filter_map(|(index, value)| match *index {
            LINGER => Some((SocketOption::Linger, *value)),
            index => Some(options::at(index)?.stack?).map(|option| (option, wish(option, *value))),
        })
    }

    pub(super) fn set(&self, level: u32, name: u32, value: &[u8]) -> Result<()> {
        let (index, option, number) = match (level, name) {
            (SOL_SOCKET, SO_LINGER) => (LINGER, Some(SocketOption::Linger), linger(value)?),
            _ => match self.find(level, name) {
                Some((index, entry)) => (index, entry.stack, entry.check(value, self.kind == Type::Stream)?),
                // A stream has no use for it, and Linux says so in another way.
                None if (level, name) == (IPPROTO_IP, 33) => return Err(Errno::INVAL),
                None => return options::set_common(level, name, value, &self.timeouts, self.family_and_type().0),
            },
        };
        if option == Some(SocketOption::OnlyV6) && self.state.lock().bound {
            return Err(Errno::INVAL);
        }
        if let Some(option) = option {
            for (stack, id) in self.present() {
                match stack.set_option(id, option, wish(option, number)) {
                    // One that has no use for it does without.
                    Ok(()) | Err(device::Error::Errno(92)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.remember(index, number)
    }

    pub(super) fn get(&self, level: u32, name: u32, value: &mut [u8]) -> Result<usize> {
        match (level, name) {
            (SOL_SOCKET, SO_ERROR) => return options::give(value, self.pending_error()),
            (SOL_SOCKET, SO_LINGER) => {
                let remembered = self.at_index(LINGER).unwrap_or(0);
                let pair = [u32::from(remembered > 0), remembered.saturating_sub(1)];
                let mut bytes = [0; 8];
                bytes[..4].copy_from_slice(&pair[0].to_ne_bytes());
                bytes[4..].copy_from_slice(&pair[1].to_ne_bytes());
                return Ok(options::copy(value, &bytes));
            }
            (SOL_SOCKET, SO_ACCEPTCONN) => return options::give(value, self.state.lock().listening.into()),
            // IP_MTU, IPV6_MTU
            (IPPROTO_IP, 14) | (IPPROTO_IPV6, 24) => {
                let connected = self.present().find(|(stack, id)| stack.peer(*id).is_ok()).ok_or(Errno::NOTCONN)?;
                return options::give(value, connected.0.option(connected.1, SocketOption::PathMtu)?);
            }
            _ => {}
        }
        let (v6, is_stream) = (self.family == Family::V6, self.kind == Type::Stream);
        if !v6 && !options::has_level(level, is_stream) {
            return Err(Errno::OPNOTSUPP);
        }
        // What only datagrams have can be asked for all the same.
        let multicast = matches!(level, IPPROTO_IP | IPPROTO_IPV6);
        let other = || options::find(level, name, v6, !is_stream).filter(|_| multicast);
        let found = self.find(level, name).or_else(other);
        let Some((index, entry)) = found else {
            return options::get_common(level, name, value, &self.timeouts, self.family_and_type());
        };
        let mut number = self.at_index(index).unwrap_or_else(|| entry.initial(is_stream));
        // What the network has found out.
        if entry.stack == Some(SocketOption::MaxSegment) {
            number = self
                .present()
                .find_map(|(stack, id)| stack.option(id, SocketOption::MaxSegment).ok())
                .unwrap_or(number);
        }
        options::give(value, number)
    }

    /// The errno that waits to be told, or 0; told once.
    fn pending_error(&self) -> u32 {
        let refused = self.take_refusal();
        let errors = self.present().map(|(stack, id)| stack.option(id, SocketOption::Error).unwrap_or(0));
        [refused].into_iter().chain(errors).find(|error| *error != 0).unwrap_or(0)
    }
}

/// What a stack is told: of a buffer what was asked for, without Linux's share for itself.
fn wish(option: SocketOption, value: u32) -> u32 {
    if matches!(option, SocketOption::SendBuffer | SocketOption::ReceiveBuffer) { value / 2 } else { value }
}

/// `struct linger` as [`SocketOption::Linger`] counts: seconds + 1, 0 for off.
fn linger(value: &[u8]) -> Result<u32> {
    let seconds = value.get(4..).and_then(|v| v.first_chunk::<4>()).ok_or(Errno::INVAL)?;
    let on = options::number(SOL_SOCKET, value)? != 0;
    Ok(if on { u32::from_ne_bytes(*seconds).min(u32::MAX - 1) + 1 } else { 0 })
}
