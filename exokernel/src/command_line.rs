//! The kernel command line: how an operator tells a machine what the image cannot know.
//!
//! | word | meaning |
//! |---|---|
//! | `ampoule.time=NS` | wall-clock time at the start, ns since 1970 |
//! | `ampoule.base=ADDRESS` | where the image is to lie, for a debugger's sake, instead of anywhere; 2 MiB aligned |
//! | `ampoule.ip=ADDRESS/PREFIX,GATEWAY,NAME-SERVER` | network configuration; without it the guest uses DHCP |
//! | `ampoule.env=NAME=VALUE` | an environment entry, instead of the manifest's of that name |
//! | `virtio_mmio.device=SIZE@ADDRESS:LINE` | a device; microvm adds these by itself, at the very end |
//! | `-- WORD ...` | the program's arguments, instead of the manifest's |
//!
//! Words are separated by spaces. In arguments and environment entries `%` and two hexadecimal digits stand for a byte, so
//! that a space, a percent sign, or an argument that looks like a device can be passed.

use abi::boot::NetworkConfig;
use abi::image::IMAGE_ALIGN;

/// All words. They are bytes: nothing here depends on more than ASCII.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty())
}

/// The words before ` -- `.
fn options(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    words(line).take_while(|w| *w != b"--")
}

/// The program's arguments, still encoded, or `None` if the line leaves them to the manifest.
pub fn arguments(line: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut words = words(line);
    words.find(|w| *w == b"--")?;
    Some(words.filter(|w| !w.starts_with(DEVICE)))
}

/// The environment entries, still encoded.
pub fn environment(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    options(line).filter_map(|w| w.strip_prefix(b"ampoule.env="))
}

const DEVICE: &[u8] = b"virtio_mmio.device=";

/// The virtio-mmio devices: (physical address of the registers, interrupt line).
pub fn devices(line: &[u8]) -> impl Iterator<Item = (u64, u32)> {
    words(line).filter_map(|w| {
        let (address, line) = split(split(w.strip_prefix(DEVICE)?, b'@')?.1, b':')?;
        let line = split(line, b':').map_or(line, |parts| parts.0);
        Some((number(address.strip_prefix(b"0x")?, 16)?, number(line, 10)?.try_into().ok()?))
    })
}

/// Wall-clock time at the start, ns since 1970.
pub fn time(line: &[u8]) -> Option<u64> {
    options(line).find_map(|w| number(w.strip_prefix(b"ampoule.time=")?, 10))
}

/// Where the image is to lie, if that was said and it can.
pub fn base(line: &[u8]) -> Option<u64> {
    let base = options(line).find_map(|w| number(w.strip_prefix(b"ampoule.base=")?, 10))?;
    (base.is_multiple_of(IMAGE_ALIGN) && (1 << 32..1 << 46).contains(&base)).then_some(base)
}

/// The network configuration, all zero without one.
pub fn network(line: &[u8]) -> NetworkConfig {
    let parse = |text: &[u8]| {
        let mut parts = text.split(|b| *b == b',');
        let (address, prefix) = split(parts.next()?, b'/')?;
        Some(NetworkConfig {
            address: ipv4(address)?,
            prefix: number(prefix, 10).filter(|p| *p <= 32)?,
            gateway: parts.next().and_then(ipv4).unwrap_or_default(),
            name_server: parts.next().and_then(ipv4).unwrap_or_default(),
        })
    };
    options(line).find_map(|w| parse(w.strip_prefix(b"ampoule.ip=")?)).unwrap_or_default()
}

fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    let mut bytes = [0; 4];
    let mut parts = text.split(|b| *b == b'.');
    for byte in &mut bytes {
        *byte = number(parts.next()?, 10)?.try_into().ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// What stands before and after the first `at`.
fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = text.iter().position(|b| *b == at)?;
    Some((text.get(..index)?, text.get(index + 1..)?))
}

fn number(text: &[u8], radix: u32) -> Option<u64> {
    let more = |number: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(radix)?;
        number.checked_mul(radix.into())?.checked_add(digit.into())
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, more) }
}

/// The bytes that an encoded word stands for.
pub fn decode(word: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = word;
    core::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        rest = after;
        let digit = |at: usize| after.get(at).and_then(|d| char::from(*d).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                rest = &after[2..];
                Some((high << 4 | low) as u8)
            }
            _ => Some(first),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"ampoule.time=17 ampoule.ip=10.0.2.15/24,10.0.2.2,10.0.2.3 ampoule.env=A=b%20c \
                        -- serve %2Dx 100% virtio_mmio.device=512@0xfeb00e00:12";

    #[test]
    fn every_part_is_found() {
        assert_eq!(time(LINE), Some(17));
        assert_eq!(environment(LINE).collect::<Vec<_>>(), [b"A=b%20c"]);
        assert_eq!(arguments(LINE).map(|a| a.collect::<Vec<_>>()), Some(vec![&b"serve"[..], b"%2Dx", b"100%"]));
        assert_eq!(devices(LINE).collect::<Vec<_>>(), [(0xfeb0_0e00, 12)]);
        let network = network(LINE);
        assert_eq!((network.address, network.prefix, network.gateway), ([10, 0, 2, 15], 24, [10, 0, 2, 2]));
    }

    #[test]
    fn words_decode() {
        assert_eq!(decode(b"b%20c%2").collect::<Vec<_>>(), b"b c%2");
        assert_eq!(decode(b"100%").collect::<Vec<_>>(), b"100%");
    }

    #[test]
    fn nothing_is_an_empty_line() {
        assert!(arguments(b"").is_none());
        assert_eq!(network(b"ampoule.ip=10.0.2.15/99").address, [0; 4]);
        assert_eq!(time(b"ampoule.time=x"), None);
        assert_eq!(time(b"ampoule.time="), None);
        assert_eq!(base(b"ampoule.base=6442450944"), Some(0x1_8000_0000));
        assert_eq!(base(b"ampoule.base=6442450945 "), None);
        assert_eq!(base(b"ampoule.base=2097152"), None);
        assert_eq!(base(b"-- ampoule.base=6442450944"), None);
        assert_eq!(time(b"ampoule.time=18446744073709551616"), None);
        assert_eq!(network(b"ampoule.ip=10.0.2.256/24").address, [0; 4]);
        assert_eq!(devices(b"virtio_mmio.device=512@0xfeb00e00 virtio_mmio.device=512@feb00e00:1").count(), 0);
        assert_eq!(arguments(b"-- ").map(|a| a.count()), Some(0));
    }
}
