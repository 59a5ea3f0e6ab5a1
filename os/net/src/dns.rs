//! DNS messages (RFC 1035 §4, RFC 3596): a question for a name's addresses, and what an answer says.
//!
//! An answer is followed from the name that was asked for: of its records count an alias of the name so far (CNAME), which
//! changes the name, and addresses of that name. Each record is looked at once, in the order in which they stand, so aliases
//! that lead in a circle end with the message. A name that leads elsewhere in the message only ever leads backwards, so that
//! its reading ends.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
const TYPE_CNAME: u16 = 5;
const CLASS_IN: u16 = 1;
/// Flags: a response; cut short; its code; NXDOMAIN.
const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const CODE: u16 = 15;
const NO_SUCH_NAME: u16 = 3;
/// More addresses than this are left out.
const ADDRESSES: usize = 32;
/// The longest name, as a message has it (§2.3.4).
const NAME_MAX: usize = 255;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// IPv4.
    A = 1,
    /// IPv6.
    Aaaa = 28,
}

/// What a message says to a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is not an answer to this question.
    Unrelated,
    /// The server could not tell.
    Failed,
    /// There is more than fits a datagram (TC).
    Truncated,
    /// These; none if there is no such name.
    Addresses(Vec<IpAddr>),
}

/// Can this be asked for? Labels of 1 to 63 bytes, at most 253 in all (§2.3.4), with or without the final dot.
pub(crate) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// The question for a name's addresses.
#[inline(never)]
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    // A standard query, recursion desired, one question.
    let [high, low] = id.to_be_bytes();
    message.extend_from_slice(&[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, kind as u8, 0, CLASS_IN as u8]);
    message
}

/// What `message` says to the question of this number, name and kind.
pub(crate) fn reply(message: &[u8], id: u16, name: &str, kind: Kind) -> Reply {
    read(message, id, name, kind).unwrap_or(Reply::Unrelated)
}

fn read(message: &[u8], id: u16, name: &str, kind: Kind) -> Option<Reply> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let flags = word(2)?;
    // The question comes back as it was asked (RFC 5452 §9.1); case may differ.
    let asked = question(id, name, kind);
    let echoed = message.get(HEADER..asked.len())?;
    if word(0)? != id || flags & RESPONSE == 0 || word(4)? != 1 || !echoed.eq_ignore_ascii_case(&asked[HEADER..]) {
        return None;
    }
    match flags & CODE {
        0 if flags & TRUNCATED != 0 => return Some(Reply::Truncated),
        0 => {}
        NO_SUCH_NAME => return Some(Reply::Addresses(Vec::new())),
        _ => return Some(Reply::Failed),
    }
    let mut addresses = Vec::new();
    let (mut sought, mut at) = name_at(message, HEADER)?;
    at += 4;
    for _ in 0..word(6)? {
        let (owner, fixed) = name_at(message, at)?;
        let (found, class, length) = (word(fixed)?, word(fixed + 2)?, usize::from(word(fixed + 8)?));
        let data = message.get(fixed + 10..fixed + 10 + length)?;
        at = fixed + 10 + length;
        if class != CLASS_IN || owner != sought {
            continue;
        }
        if found == TYPE_CNAME {
            sought = name_at(message, fixed + 10)?.0;
        } else if found == kind as u16 && addresses.len() < ADDRESSES {
            addresses.extend(address(kind, data));
        }
    }
    Some(Reply::Addresses(addresses))
}

fn address(kind: Kind, data: &[u8]) -> Option<IpAddr> {
    Some(match kind {
        Kind::A => Ipv4Addr::from(*<&[u8; 4]>::try_from(data).ok()?).into(),
        Kind::Aaaa => Ipv6Addr::from(*<&[u8; 16]>::try_from(data).ok()?).into(),
    })
}

/// A name of a message (§4.1.4: labels, ended by a zero or by a pointer to the rest of them), in small letters, and where
/// what follows it begins.
fn name_at(message: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let mut next = None;
    let mut start = at;
    loop {
        let length = usize::from(*message.get(at)?);
        if length >= 0xc0 {
            let place = (length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            next = next.or(Some(at + 2));
            // Always further to the front than what has been read.
            if place >= start {
                return None;
            }
            (at, start) = (place, place);
            continue;
        }
        let label = message.get(at..at + 1 + length)?;
        // The two other kinds of labels are nobody's (RFC 6891 §5).
        if length > 63 || name.len() + label.len() > NAME_MAX {
            return None;
        }
        name.extend(label.iter().map(u8::to_ascii_lowercase));
        at += 1 + length;
        if length == 0 {
            return Some((name, next.unwrap_or(at)));
        }
    }
}

#[cfg(test)]
mod tests;
