//! Prints the machine's addresses, as `getifaddrs` tells them. With arguments it first waits until its network has an address
//! of each family that leads further than the link, looks the arguments up as names, and stays, to be asked from without.

#[cfg(feature = "line")]
use ampoule as _;
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long the network may take to tell who we are.
const PATIENCE: Duration = Duration::from_secs(40);

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let start = Instant::now();
    let mut all = addresses();
    while !names.is_empty() && !is_complete(&all) && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
        all = addresses();
    }
    for (name, ip, prefix) in &all {
        println!("{name} {ip}/{prefix}");
    }
    if names.is_empty() {
        return;
    }
    for name in names {
        let found = match (name.as_str(), 80).to_socket_addrs() {
            Ok(found) => found.map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        println!("{name}: {found}");
    }
    println!("staying");
    loop {
        std::thread::park();
    }
}

fn is_complete(all: &[(String, IpAddr, u32)]) -> bool {
    let far = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if !v6.is_loopback() && !v6.is_unicast_link_local());
    all.iter().any(|(_, ip, _)| far(ip)) && all.iter().any(|(name, ip, _)| ip.is_ipv4() && name != "lo")
}

/// Interface, address, bits of its prefix.
fn addresses() -> Vec<(String, IpAddr, u32)> {
    let mut list = std::ptr::null_mut::<libc::ifaddrs>();
    // SAFETY: room for one pointer.
    assert_eq!(unsafe { libc::getifaddrs(&raw mut list) }, 0);
    let mut found = Vec::new();
    let mut next = list;
    // SAFETY: the list is as the call left it, until it is freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: each has a name; each address and mask is null, or as its family says.
        let (name, ip, mask) = unsafe { (CStr::from_ptr(entry.ifa_name), ip(entry.ifa_addr), ip(entry.ifa_netmask)) };
        if let (Some(ip), Some(mask)) = (ip, mask) {
            let prefix = match mask {
                IpAddr::V4(mask) => mask.to_bits().leading_ones(),
                IpAddr::V6(mask) => mask.to_bits().leading_ones(),
            };
            found.push((name.to_string_lossy().into_owned(), ip, prefix));
        }
        next = entry.ifa_next;
    }
    // SAFETY: the call's own, freed once.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// # Safety
/// Null, or an address that its family describes.
unsafe fn ip(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller's contract.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let address = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()).into())
            }
            libc::AF_INET6 => {
                Some(Ipv6Addr::from(address.cast::<libc::sockaddr_in6>().read_unaligned().sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}
