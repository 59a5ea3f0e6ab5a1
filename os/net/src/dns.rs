//! DNS messages (RFC 1035 §4): a question for IPv4 addresses, and what an answer says.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
/// Flags: a response; its code; NXDOMAIN.
const RESPONSE: u16 = 0x8000;
const CODE: u16 = 15;
const NO_SUCH_NAME: u16 = 3;
/// More addresses than this are left out.
const ADDRESSES: usize = 32;

/// What a message says to a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is not an answer to this question.
    Unrelated,
    /// The server could not tell.
    Failed,
    /// These; none if there is no such name.
    Addresses(Vec<IpAddr>),
}

/// Can this be asked for? Labels of 1 to 63 bytes, at most 253 in all (§2.3.4), with or without the final dot.
pub(crate) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// The question for a name's addresses.
pub(crate) fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend(id.to_be_bytes());
    // A standard query, recursion desired, one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, TYPE_A as u8, 0, CLASS_IN as u8]);
    message
}

/// What `message` says to the question of this number and name.
pub(crate) fn reply(message: &[u8], id: u16, name: &str) -> Reply {
    read(message, id, name).unwrap_or(Reply::Unrelated)
}

fn read(message: &[u8], id: u16, name: &str) -> Option<Reply> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let flags = word(2)?;
    // The question comes back as it was asked (RFC 5452 §9.1); case may differ.
    let asked = question(id, name);
    let echoed = message.get(HEADER..asked.len())?;
    if word(0)? != id || flags & RESPONSE == 0 || word(4)? != 1 || !echoed.eq_ignore_ascii_case(&asked[HEADER..]) {
        return None;
    }
    match flags & CODE {
        0 => {}
        NO_SUCH_NAME => return Some(Reply::Addresses(Vec::new())),
        _ => return Some(Reply::Failed),
    }
    let mut addresses = Vec::new();
    let mut at = asked.len();
    for _ in 0..word(6)? {
        at = skip_name(message, at)?;
        let (kind, class, length) = (word(at)?, word(at + 2)?, usize::from(word(at + 8)?));
        let data = message.get(at + 10..at + 10 + length)?;
        if (kind, class) == (TYPE_A, CLASS_IN)
            && addresses.len() < ADDRESSES
            && let Ok(octets) = <[u8; 4]>::try_from(data)
        {
            addresses.push(IpAddr::V4(Ipv4Addr::from(octets)));
        }
        at += 10 + length;
    }
    Some(Reply::Addresses(addresses))
}

/// Where what follows a name begins (§4.1.4: labels, ended by a zero or by a pointer elsewhere).
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with an alias and two addresses.
    fn answer() -> Vec<u8> {
        let mut message = question(7, "www.example.org");
        message[2] = 0x81;
        message[7] = 3;
        message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'a', 0xc0, 16]);
        for last in [1, 2] {
            message.extend([0xc0, 33, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]);
        }
        message
    }

    #[test]
    fn addresses_are_read_past_aliases() {
        let expected = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))).to_vec();
        assert_eq!(reply(&answer(), 7, "www.EXAMPLE.org."), Reply::Addresses(expected));
    }

    #[test]
    fn others_answers_do_not_count() {
        assert_eq!(reply(&answer(), 8, "www.example.org"), Reply::Unrelated);
        assert_eq!(reply(&answer(), 7, "www.example.com"), Reply::Unrelated);
        assert_eq!(reply(&question(7, "www.example.org"), 7, "www.example.org"), Reply::Unrelated);
    }

    #[test]
    fn a_missing_name_has_no_addresses_and_a_failure_is_one() {
        let mut message = question(7, "a.b");
        message[2] = 0x81;
        message[3] = 3;
        assert_eq!(reply(&message, 7, "a.b"), Reply::Addresses(Vec::new()));
        message[3] = 2;
        assert_eq!(reply(&message, 7, "a.b"), Reply::Failed);
    }

    #[test]
    fn cut_and_mangled_answers_do_not_panic() {
        let whole = answer();
        for length in 0..whole.len() {
            assert_eq!(reply(&whole[..length], 7, "www.example.org"), Reply::Unrelated);
        }
        let mut random = crate::random::Random::new([1; 32]);
        for _ in 0..20_000 {
            let mut message = whole.clone();
            for _ in 0..4 {
                let at = random.below(message.len() as u32) as usize;
                message[at] = random.word() as u8;
            }
            reply(&message, 7, "www.example.org");
        }
    }

    #[test]
    fn names_have_bounds() {
        assert!(is_name("localhost") && is_name("a.b.") && !is_name("") && !is_name("a..b"));
        assert!(!is_name(&"a".repeat(64)) && !is_name(&["abcdefgh"; 29].join(".")));
    }
}
