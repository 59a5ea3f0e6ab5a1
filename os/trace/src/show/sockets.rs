//! Socket addresses, messages, and options' values.

use super::{memory, pointer};
use crate::line::Line;
use crate::peek::{self, plain};
use core::fmt::Write as _;
use core::net::{Ipv4Addr, Ipv6Addr};

/// The longest address that is looked at: `struct sockaddr_un`.
const LONGEST: usize = 110;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `struct sockaddr` of `length` bytes.
pub(super) fn address(line: &mut Line, at: usize, length: usize) {
    let mut room = [0; LONGEST];
    let bytes = &mut room[..length.min(LONGEST)];
    if at == 0 || length < 2 || !peek::copy(at, bytes) {
        return pointer(line, at);
    }
    let port = |bytes: &[u8]| u16::from_be_bytes([bytes[2], bytes[3]]);
    let family = u16::from_ne_bytes([bytes[0], bytes[1]]);
    let _ = match (family, bytes.first_chunk::<8>(), bytes.first_chunk::<28>()) {
        (AF_INET, Some(v4), _) => {
            let address = Ipv4Addr::new(v4[4], v4[5], v4[6], v4[7]);
            let port = port(v4);
            write!(line, "{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr(\"{address}\")}}")
        }
        (AF_INET6, _, Some(v6)) => {
            let address: [u8; 16] = v6[8..24].try_into().unwrap_or_default();
            let (flow, scope) = (
                u32::from_be_bytes([v6[4], v6[5], v6[6], v6[7]]),
                u32::from_ne_bytes([v6[24], v6[25], v6[26], v6[27]]),
            );
            let (port, address) = (port(v6), Ipv6Addr::from(address));
            write!(
                line,
                "{{sa_family=AF_INET6, sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), \
                 inet_pton(AF_INET6, \"{address}\", &sin6_addr), sin6_scope_id={scope}}}"
            )
        }
        (AF_UNIX, ..) => return unix(line, &bytes[2..]),
        _ => write!(line, "{{sa_family={family:#x}, ...}}"),
    };
}

/// A path, or behind a NUL a name that is none.
fn unix(line: &mut Line, path: &[u8]) {
    let _ = line.write_str("{sa_family=AF_UNIX");
    let end = |path: &[u8]| path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    match path {
        [] => {}
        [0, name @ ..] => {
            let _ = line.write_str(", sun_path=@");
            line.quoted(name);
        }
        _ => {
            let _ = line.write_str(", sun_path=");
            line.quoted(&path[..end(path)]);
        }
    }
    let _ = line.write_str("}");
}

/// An address that was written, as long as the word at `length_at` says.
pub(super) fn address_room(line: &mut Line, at: usize, length_at: usize) {
    match peek::value::<u32>(length_at) {
        Some(length) => address(line, at, length as usize),
        None => pointer(line, at),
    }
}

/// An option's value: a number where it is as long as one.
pub(super) fn value(line: &mut Line, at: usize, length: usize) {
    match length {
        4 => memory::int_at(line, at),
        _ => memory::bytes(line, at, length),
    }
}

/// The same, written, as long as the word at `length_at` says.
pub(super) fn value_room(line: &mut Line, at: usize, length_at: usize) {
    match peek::value::<u32>(length_at) {
        Some(length) => value(line, at, length as usize),
        None => pointer(line, at),
    }
}

/// `struct msghdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Message {
    name: usize,
    name_length: u64,
    pieces: usize,
    piece_count: usize,
    control: usize,
    control_length: usize,
    flags: u64,
}

plain!(Message);

/// A message, of whose pieces `length` bytes mean something.
pub(super) fn message(line: &mut Line, at: usize, length: usize) {
    let Some(message) = peek::value::<Message>(at) else { return pointer(line, at) };
    let _ = line.write_str("{msg_name=");
    let name_length = message.name_length as u32;
    address(line, message.name, name_length as usize);
    let _ = write!(line, ", msg_namelen={name_length}, msg_iov=");
    memory::pieces(line, message.pieces, message.piece_count, length);
    let (pieces, control) = (message.piece_count, message.control_length);
    let _ = write!(line, ", msg_iovlen={pieces}, msg_controllen={control}, msg_flags=");
    super::words::flags(line, abi::trace::Words::Message, message.flags as u32);
    let _ = line.write_str("}");
}
