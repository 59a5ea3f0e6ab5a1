//! The kernel command line: how an operator tells a machine what the image cannot know.
//!
//! | word | meaning |
//! |---|---|
//! | `ampoule.time=NS` | wall-clock time at the start, ns since 1970 |
//! | `ampoule.ip=ADDRESS/PREFIX,GATEWAY,NAME-SERVER` | network configuration; without it the guest uses DHCP |
//! | `ampoule.env=NAME=VALUE` | an environment entry, instead of the manifest's of that name |
//! | `virtio_mmio.device=SIZE@ADDRESS:LINE` | a device; microvm adds these by itself, at the very end |
//! | `-- WORD ...` | the program's arguments, instead of the manifest's |
//!
//! Words are separated by spaces. In arguments and environment entries `%` and two hexadecimal digits stand for a byte, so
//! that a space, a percent sign, or an argument that looks like a device can be passed.

use abi::boot::NetworkConfig;

/// The words before ` -- `.
pub fn options(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace().take_while(|w| *w != "--")
}

/// The program's arguments, still encoded, or `None` if the line leaves them to the manifest.
pub fn arguments(line: &str) -> Option<impl Iterator<Item = &str>> {
    let mut words = line.split_ascii_whitespace();
    words.find(|w| *w == "--")?;
    Some(words.filter(|w| !w.starts_with(DEVICE)))
}

/// The environment entries, still encoded.
pub fn environment(line: &str) -> impl Iterator<Item = &str> {
    options(line).filter_map(|w| w.strip_prefix("ampoule.env="))
}

const DEVICE: &str = "virtio_mmio.device=";

/// The virtio-mmio devices: (physical address of the registers, interrupt line).
pub fn devices(line: &str) -> impl Iterator<Item = (u64, u32)> {
    line.split_ascii_whitespace().filter_map(|w| {
        let (address, line) = w.strip_prefix(DEVICE)?.split_once('@')?.1.split_once(':')?;
        let line = line.split(':').next()?;
        Some((u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?, line.parse().ok()?))
    })
}

/// Wall-clock time at the start, ns since 1970.
pub fn time(line: &str) -> Option<u64> {
    options(line).find_map(|w| w.strip_prefix("ampoule.time=")?.parse().ok())
}

/// The network configuration, all zero without one.
pub fn network(line: &str) -> NetworkConfig {
    let parse = |text: &str| {
        let mut parts = text.split(',');
        let (address, prefix) = parts.next()?.split_once('/')?;
        Some(NetworkConfig {
            address: ipv4(address)?,
            prefix: prefix.parse().ok().filter(|p| *p <= 32)?,
            gateway: parts.next().and_then(ipv4).unwrap_or_default(),
            name_server: parts.next().and_then(ipv4).unwrap_or_default(),
        })
    };
    options(line).find_map(|w| parse(w.strip_prefix("ampoule.ip=")?)).unwrap_or_default()
}

fn ipv4(text: &str) -> Option<[u8; 4]> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        *byte = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// The bytes that an encoded word stands for.
pub fn decode(word: &str) -> impl Iterator<Item = u8> {
    let mut rest = word.as_bytes();
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

    const LINE: &str = "ampoule.time=17 ampoule.ip=10.0.2.15/24,10.0.2.2,10.0.2.3 ampoule.env=A=b%20c \
                        -- serve %2Dx 100% virtio_mmio.device=512@0xfeb00e00:12";

    #[test]
    fn every_part_is_found() {
        assert_eq!(time(LINE), Some(17));
        assert_eq!(environment(LINE).collect::<Vec<_>>(), ["A=b%20c"]);
        assert_eq!(arguments(LINE).map(|a| a.collect::<Vec<_>>()), Some(vec!["serve", "%2Dx", "100%"]));
        assert_eq!(devices(LINE).collect::<Vec<_>>(), [(0xfeb0_0e00, 12)]);
        let network = network(LINE);
        assert_eq!((network.address, network.prefix, network.gateway), ([10, 0, 2, 15], 24, [10, 0, 2, 2]));
    }

    #[test]
    fn words_decode() {
        assert_eq!(decode("b%20c%2").collect::<Vec<_>>(), b"b c%2");
        assert_eq!(decode("100%").collect::<Vec<_>>(), b"100%");
    }

    #[test]
    fn nothing_is_an_empty_line() {
        assert!(arguments("").is_none());
        assert_eq!(network("ampoule.ip=10.0.2.15/99").address, [0; 4]);
        assert_eq!(time("ampoule.time=x"), None);
        assert_eq!(arguments("-- ").map(|a| a.count()), Some(0));
    }
}
