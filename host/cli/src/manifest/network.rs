//! The network's rules as the manifest writes them: `PROTOCOL/PORTS` and `PROTOCOL/HOST:PORTS`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::manifest::{Connect, Host, Listen, Protocol};

use super::Problem;

/// `tcp/8080`, `udp/5000-5010`.
pub(super) fn listen(text: &str) -> Result<Listen, Problem> {
    let read = || {
        let (protocol, rest) = protocol(text)?;
        let (first_port, last_port) = ports(rest)?;
        Ok(Listen { protocol, first_port, last_port })
    };
    read().map_err(|what| Problem::Rule(text.to_owned(), what))
}

/// `tcp/example.org:443`, `udp/*:53`, `tcp/10.0.0.0/8:5432`, `tcp/[2001:db8::]/32:443`, `tcp/*`.
pub(super) fn connect(text: &str) -> Result<Connect, Problem> {
    let read = || {
        let (protocol, rest) = protocol(text)?;
        // The last colon outside of brackets parts host and ports.
        let (host, rest) = match rest.rfind(':') {
            Some(colon) if !rest[colon..].contains(']') => (&rest[..colon], Some(&rest[colon + 1..])),
            _ => (rest, None),
        };
        let (first_port, last_port) = match rest {
            Some(rest) => ports(rest)?,
            None if host == "*" => (1, u16::MAX),
            None => return Err("names no port: write `host:443`, `host:80-90` or `host:*`"),
        };
        Ok(Connect { protocol, host: self::host(host)?, first_port, last_port })
    };
    read().map_err(|what| Problem::Rule(text.to_owned(), what))
}

/// A name of `net.hosts` or a domain of `net.search`, in small letters.
pub(super) fn name(text: &str) -> Result<String, Problem> {
    match is_name(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Problem::Rule(text.to_owned(), "is no DNS name")),
    }
}

/// An address of `net.hosts`: its 4 or 16 bytes.
pub(super) fn address(text: &str) -> Result<Vec<u8>, Problem> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => Ok(ip.octets().to_vec()),
        Ok(IpAddr::V6(ip)) => Ok(ip.octets().to_vec()),
        Err(_) => Err(Problem::Rule(text.to_owned(), "is no IP address")),
    }
}

fn protocol(text: &str) -> Result<(Protocol, &str), &'static str> {
    match text.split_once('/') {
        Some(("tcp", rest)) => Ok((Protocol::Tcp, rest)),
        Some(("udp", rest)) => Ok((Protocol::Udp, rest)),
        _ => Err("does not begin with `tcp/` or `udp/`"),
    }
}

/// One port, a range, or `*` for all from 1 on.
fn ports(text: &str) -> Result<(u16, u16), &'static str> {
    const WHAT: &str = "has no port from 0 to 65535 where one belongs";
    if text == "*" {
        return Ok((1, u16::MAX));
    }
    let port = |text: &str| match text.as_bytes() {
        [b'0'..=b'9', ..] => text.parse::<u16>().map_err(|_| WHAT),
        _ => Err(WHAT),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    match first <= last {
        true => Ok((first, last)),
        false => Err("has a range of ports that ends before it begins"),
    }
}

fn host(text: &str) -> Result<Host, &'static str> {
    if text == "*" {
        return Ok(Host::Any);
    }
    if let Some(rest) = text.strip_prefix('[') {
        const WHAT: &str = "has no IPv6 address such as `[2001:db8::]/32` where one belongs";
        let (address, rest) = rest.split_once(']').ok_or(WHAT)?;
        let address: Ipv6Addr = address.parse().map_err(|_| WHAT)?;
        return prefix(&address.octets(), rest);
    }
    let (address, rest) = text.split_at(text.find('/').unwrap_or(text.len()));
    if let Ok(address) = address.parse::<Ipv4Addr>() {
        return prefix(&address.octets(), rest);
    }
    match is_name(text.strip_prefix("*.").unwrap_or(text)) {
        true => Ok(Host::Name(text.to_ascii_lowercase())),
        false => Err("has no host name or address where one belongs (IPv6 addresses go in brackets)"),
    }
}

/// `/24` after an address, or nothing for the address alone.
fn prefix(address: &[u8], rest: &str) -> Result<Host, &'static str> {
    const WHAT: &str = "has a prefix length that its address cannot have";
    let all = address.len() * 8;
    let bits = match rest.strip_prefix('/') {
        Some(bits) => bits.parse::<usize>().ok().filter(|bits| *bits <= all).ok_or(WHAT)?,
        None if rest.is_empty() => all,
        None => return Err(WHAT),
    };
    let host_part = |bit: usize| address[bit / 8] >> (7 - bit % 8) & 1 != 0;
    if (bits..all).any(host_part) {
        return Err("has bits set beyond its prefix length; write the network's own address");
    }
    Ok(Host::Prefix(address.to_vec(), bits as u8))
}

/// A DNS name: labels of letters, digits, `-` and `_` (RFC 1123 §2.1, and what is found in the wild).
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let all_digits = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(is_label) && !text.rsplit('.').next().is_none_or(all_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> (Host, u16, u16) {
        let rule = connect(text).unwrap_or_else(|problem| panic!("{problem}"));
        (rule.host, rule.first_port, rule.last_port)
    }

    #[test]
    fn peers_are_read() {
        assert_eq!(allowed("tcp/Example.org:443"), (Host::Name("example.org".into()), 443, 443));
        assert_eq!(allowed("tcp/*.example.org:80-90"), (Host::Name("*.example.org".into()), 80, 90));
        assert_eq!(allowed("udp/*:53"), (Host::Any, 53, 53));
        assert_eq!(allowed("tcp/*"), (Host::Any, 1, 65535));
        assert_eq!(allowed("tcp/10.0.0.0/8:5432"), (Host::Prefix(vec![10, 0, 0, 0], 8), 5432, 5432));
        assert_eq!(allowed("tcp/127.0.0.1:*"), (Host::Prefix(vec![127, 0, 0, 1], 32), 1, 65535));
        let mut v6 = vec![0x20, 1, 0xd, 0xb8];
        v6.resize(16, 0);
        assert_eq!(allowed("tcp/[2001:db8::]/32:443"), (Host::Prefix(v6, 32), 443, 443));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "tcp",
            "sctp/1:2",
            "tcp/",
            "tcp/:80",
            "tcp/example.org",
            "tcp/a..b:1",
            "tcp/10.0.0.0/33:1",
            "tcp/10.0.0.1/8:1",
            "tcp/::1:80",
            "tcp/[::1:80",
            "tcp/x:70000",
            "tcp/x:9-1",
            "tcp/x:+1",
            "tcp/1.2.3:80",
            "tcp/*.:80",
            "tcp/*.*.x:80",
            "tcp/[::1]",
            "tcp/-x:1",
        ] {
            assert!(connect(text).is_err(), "{text}");
        }
        for text in ["8080", "tcp/", "tcp/http", "tcp/65536", "tcp/2-1", "tcp/1-", "TCP/1"] {
            assert!(listen(text).is_err(), "{text}");
        }
    }
}
