//! Names to addresses, for `getaddrinfo`: what is known without asking, else the network's own resolver.

use abi::manifest::Names;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use device::Family;

use crate::errno::{Errno, Result};
use crate::inet;
use crate::observe::Observers;

/// How often a resolver that has its hands full is asked again, and how long to wait in between.
const ATTEMPTS: u32 = 50;
const PAUSE_NS: u64 = 100_000_000;

/// The addresses of a host name or of an address in writing. With a `family`, those of the other may be left out.
pub fn look_up(name: &str, family: Option<Family>) -> Result<Vec<IpAddr>> {
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
    let names = Names::of_sealed(machine::sealed::manifest()).unwrap_or_default();
    if let Some(known) = names.hosts.iter().find(|known| known.name.eq_ignore_ascii_case(bare)) {
        return Ok(known.addresses().collect());
    }
    // A name with dots is looked for as it is first, one without in the domains to search, and with a final dot nowhere
    // else (`resolv.conf(5)`, with one dot).
    let mut whole = Err(Errno::NXIO);
    let dotted = bare.contains('.') || names.search.is_empty();
    if dotted {
        whole = ask(bare, family);
    }
    if whole != Err(Errno::NXIO) || bare.len() < name.len() {
        return whole;
    }
    let mut is_nowhere = false;
    for domain in &names.search {
        match ask(&format!("{bare}.{domain}"), family) {
            Err(Errno::NXIO) => is_nowhere = true,
            // Not to be asked for.
            Err(Errno::ACCES) => {}
            found => return found,
        }
    }
    match if dotted { whole } else { ask(bare, family) } {
        // It was looked for where that is allowed.
        Err(Errno::ACCES) if is_nowhere => Err(Errno::NXIO),
        found => found,
    }
}

/// Asks the network's resolver, and waits for what it says.
fn ask(name: &str, family: Option<Family>) -> Result<Vec<IpAddr>> {
    let stack = inet::outer().ok_or(Errno::NETUNREACH)?;
    let watch = Arc::new(Observers::new());
    for _ in 0..ATTEMPTS {
        match stack.resolve(name, family, watch.clone()) {
            Ok(mut answer) => {
                let mut result = None;
                watch.wait(None, &mut || {
                    result = answer.take();
                    result.is_some()
                });
                return match result.unwrap_or(Err(device::Error::WouldBlock)).map_err(Errno::from) {
                    // What a resolver says of a name that is not there.
                    Err(Errno::NOENT) => Err(Errno::NXIO),
                    answer => answer,
                };
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
