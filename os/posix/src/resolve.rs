//! Names to addresses, for `getaddrinfo`: what is known without asking, else the network's own resolver.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::errno::{Errno, Result};
use crate::inet;
use crate::observe::Observers;

/// How often a resolver that has its hands full is asked again, and how long to wait in between.
const ATTEMPTS: u32 = 50;
const PAUSE_NS: u64 = 100_000_000;

/// The addresses of a host name or of an address in writing.
pub fn look_up(name: &str) -> Result<Vec<IpAddr>> {
    if let Ok(ip) = name.parse() {
        return Ok(alloc::vec![ip]);
    }
    let bare = name.strip_suffix('.').unwrap_or(name);
    // RFC 6761 §6.3: never asked for.
    let is_local = bare.eq_ignore_ascii_case("localhost")
        || bare.len() > 10 && bare.as_bytes()[bare.len() - 10..].eq_ignore_ascii_case(b".localhost");
    if is_local {
        return Ok(alloc::vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let stack = inet::outer().ok_or(Errno::NETUNREACH)?;
    let watch = Arc::new(Observers::new());
    for _ in 0..ATTEMPTS {
        match stack.resolve(name, watch.clone()) {
            Ok(mut answer) => {
                let mut result = None;
                watch.wait(None, &mut || {
                    result = answer.take();
                    result.is_some()
                });
                return Ok(result.unwrap_or(Err(device::Error::WouldBlock))?);
            }
            Err(device::Error::WouldBlock) => {
                let pause = machine::clock::monotonic_ns().saturating_add(PAUSE_NS);
                watch.wait(Some(pause), &mut || false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::AGAIN)
}
