//! Names, by the host's resolver.
//!
//! The C library's resolver blocks, and a static tool cannot load its plug-ins. `getent ahosts` asks it in a process of
//! its own, whose output is read when it is there; where there is no `getent`, the hosts file is all that is known.

use super::address;
use abi::hostnet::Address;
use rustix::io::Errno;
use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, Stdio};

/// Addresses that an answer may have.
const ADDRESSES_MAX: usize = 32;
/// Bytes of output that are looked at.
const OUTPUT_MAX: usize = 64 << 10;

/// A name on its way to addresses.
#[derive(Debug)]
pub struct Lookup {
    name: String,
    output: Vec<u8>,
    process: Option<Child>,
}

/// The name in small letters without the final dot, if it is one (RFC 1123 §2.1, and the underscore that is in use).
pub(super) fn checked(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= 253 && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
}

impl Lookup {
    pub(super) fn start(name: String) -> Result<Self, Errno> {
        let started = Command::new("getent")
            .args(["ahosts", &name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(mut process) => {
                if let Some(output) = &mut process.stdout {
                    rustix::io::ioctl_fionbio(output, true)?;
                }
                Ok(Self { name, output: Vec::new(), process: Some(process) })
            }
            Err(_) => {
                let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
                Ok(Self { output: from_hosts(&hosts, &name).into_bytes(), name, process: None })
            }
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Readable when [`Lookup::poll`] has something to do; `None` when it has at once.
    pub fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref()?.stdout.as_ref().map(AsFd::as_fd)
    }

    /// Reads on: the addresses once they are complete, or why there are none.
    pub fn poll(&mut self) -> Option<Result<Vec<Address>, Errno>> {
        if let Some(output) = self.process.as_mut().and_then(|p| p.stdout.as_mut()) {
            let mut part = [0; 4096];
            loop {
                match output.read(&mut part) {
                    Ok(0) => break,
                    Ok(count) if self.output.len() < OUTPUT_MAX => self.output.extend_from_slice(&part[..count]),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
        if let Some(mut process) = self.process.take() {
            // Its output has ended, so it is about to.
            let _ = process.wait();
        }
        let addresses = parse(&String::from_utf8_lossy(&self.output));
        Some(if addresses.is_empty() { Err(Errno::NOENT) } else { Ok(addresses) })
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The addresses that lines begin with, each once.
fn parse(text: &str) -> Vec<Address> {
    let mut out: Vec<Address> = Vec::new();
    for ip in text.lines().filter_map(|line| line.split_whitespace().next()?.parse::<IpAddr>().ok()) {
        let address = address::to_guest(SocketAddr::new(ip.to_canonical(), 0), false);
        if !out.contains(&address) && out.len() < ADDRESSES_MAX {
            out.push(address);
        }
    }
    out
}

/// The lines of a hosts file (`hosts(5)`) that have this name.
fn from_hosts(hosts: &str, name: &str) -> String {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let wanted = lines.filter(|l| l.split_whitespace().skip(1).any(|n| n.eq_ignore_ascii_case(name)));
    wanted.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_looked_up() {
        assert_eq!(checked(b"WWW.Example.org.").as_deref(), Some("www.example.org"));
        for bad in [&b""[..], b".", b"-h", b"a..b", b"a b", b"a;b", b"a/b", &[0xff], &[b'a'; 64]] {
            assert_eq!(checked(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn answers_are_read() {
        let text = "192.0.2.1 STREAM www\n192.0.2.1 DGRAM\n2001:db8::1 STREAM\nnonsense\n\n";
        assert_eq!(parse(text).iter().map(|a| a.family).collect::<Vec<_>>(), [4, 6]);
        let hosts = "127.0.0.1 localhost # 192.0.2.9 www\n192.0.2.2 www other\n";
        assert_eq!(parse(&from_hosts(hosts, "WWW")).len(), 1);
        assert!(parse(&from_hosts(hosts, "none")).is_empty());
    }
}
