//! Network interfaces by name and number: `lo`, the machine's own, is 1, and the network's, where there is one, is 2.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{door, give_int, put, room, set_errno, text};
use super::socket::{ADDRESS_MAX, encode};
use alloc::boxed::Box;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use posix::errno::{Errno, Result};
use posix::socket::Address;

/// The names, from number 1 on.
const NAMES: [&CStr; 2] = [c"lo", c"eth0"];
/// `IF_NAMESIZE`
const NAME_ROOM: usize = 16;
/// `IFF_UP | IFF_LOOPBACK | IFF_RUNNING`
const LOOPBACK_FLAGS: c_uint = 0x1 | 0x8 | 0x40;
/// `IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST`
const NETWORK_FLAGS: c_uint = 0x1 | 0x2 | 0x40 | 0x1000;

/// `struct ifaddrs`.
#[repr(C)]
pub(crate) struct Interface {
    next: *mut Interface,
    name: *const c_char,
    flags: c_uint,
    address: *mut [u8; ADDRESS_MAX],
    mask: *mut [u8; ADDRESS_MAX],
    broadcast: *mut [u8; ADDRESS_MAX],
    data: *mut c_void,
}

/// One entry and what it points to, in one allocation.
#[repr(C)]
struct Node {
    interface: Interface,
    address: [u8; ADDRESS_MAX],
    mask: [u8; ADDRESS_MAX],
    broadcast: [u8; ADDRESS_MAX],
}

fn count() -> usize {
    if posix::inet::outer().is_some() { 2 } else { 1 }
}

fn index(name: &[u8]) -> Option<c_uint> {
    NAMES[..count()].iter().position(|known| known.to_bytes() == name).map(|at| at as c_uint + 1)
}

/// An entry before `next`: interface number `number`, and an address with so many bits of prefix.
fn entry(number: usize, ip: IpAddr, prefix: u8, next: *mut Interface) -> *mut Interface {
    let wire = |ip| encode(Address::Inet(SocketAddr::new(ip, 0))).0;
    let address = match ip {
        // Such an address has a meaning on its interface alone.
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, 0, 0, number as u32 + 1).into(),
        ip => SocketAddr::new(ip, 0),
    };
    let address = encode(Address::Inet(address)).0;
    let ones = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
    let (mask, broadcast) = match ip {
        IpAddr::V4(v4) => {
            let ones = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            (Ipv4Addr::from_bits(ones).into(), Ipv4Addr::from_bits(v4.to_bits() | !ones).into())
        }
        IpAddr::V6(_) => (IpAddr::V6(Ipv6Addr::from_bits(ones)), ip),
    };
    let none = core::ptr::null_mut();
    let interface = Interface {
        next,
        name: NAMES[number].as_ptr(),
        flags: if number == 0 { LOOPBACK_FLAGS } else { NETWORK_FLAGS },
        address: none,
        mask: none,
        broadcast: none,
        data: core::ptr::null_mut(),
    };
    let node = Box::into_raw(Box::new(Node { interface, address, mask: wire(mask), broadcast: wire(broadcast) }));
    // SAFETY: made just now; the node points into itself and never moves.
    unsafe {
        (*node).interface.address = &raw mut (*node).address;
        (*node).interface.mask = &raw mut (*node).mask;
        if number > 0 && ip.is_ipv4() {
            (*node).interface.broadcast = &raw mut (*node).broadcast;
        }
    }
    node.cast()
}

/// All of them, IPv4 first, as Linux tells them.
fn entries(own: &[(IpAddr, u8)]) -> *mut Interface {
    let mut all = alloc::vec![(0, Ipv4Addr::LOCALHOST.into(), 8), (0, Ipv6Addr::LOCALHOST.into(), 128)];
    all.extend(own.iter().map(|(ip, prefix)| (1, *ip, *prefix)));
    all.sort_by_key(|(number, ip, _): &(usize, IpAddr, u8)| (ip.is_ipv6(), *number));
    all.into_iter().rev().fold(core::ptr::null_mut(), |next, (number, ip, prefix)| entry(number, ip, prefix, next))
}

/// The name at a number.
unsafe fn name(number: c_uint, to: *mut c_char) -> Result<()> {
    let name = NAMES[..count()].get((number as usize).wrapping_sub(1)).ok_or(Errno::NXIO)?;
    let bytes = name.to_bytes_with_nul();
    // SAFETY: the caller's contract: room for a name.
    unsafe { room(to.cast(), NAME_ROOM) }?[..bytes.len()].copy_from_slice(bytes);
    Ok(())
}

door! {
    /// POSIX `if_nametoindex`.
    fn if_nametoindex(name: *const c_char) -> c_uint {
        // SAFETY: the caller's contract.
        unsafe { text(name) }.ok().and_then(index).unwrap_or_else(|| {
            set_errno(Errno(19)); // ENODEV
            0
        })
    }

    /// POSIX `if_indextoname`.
    fn if_indextoname(number: c_uint, to: *mut c_char) -> *mut c_char {
        // SAFETY: the caller's contract.
        match unsafe { name(number, to) } {
            Ok(()) => to,
            Err(error) => {
                set_errno(error);
                core::ptr::null_mut()
            }
        }
    }

    /// BSD `getifaddrs`: the loopback's addresses, and the network's as far as its stack knows them. The host's sockets have
    /// the host's.
    fn getifaddrs(list: *mut *mut Interface) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { put(list, entries(&posix::inet::addresses())) }.map(|()| 0))
    }

    /// BSD `freeifaddrs`.
    fn freeifaddrs(list: *mut Interface) {
        let mut next = list;
        while !next.is_null() {
            // SAFETY: `getifaddrs` made every entry of the list as a boxed node, whose first field it is.
            let node = unsafe { Box::from_raw(next.cast::<Node>()) };
            next = node.interface.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_listed_and_freed() {
        let mut list = core::ptr::null_mut();
        // SAFETY: room for a pointer; what came is freed once, after its last use.
        unsafe {
            assert_eq!(getifaddrs(&raw mut list), 0);
            assert_eq!(((*list).flags, (*(*list).address)[4]), (LOOPBACK_FLAGS, 127));
            assert!((*(*list).next).next.is_null());
            freeifaddrs(list);
        }
        assert_eq!((index(b"lo"), index(b"nowhere")), (Some(1), None));
    }

    #[test]
    fn the_network_s_addresses_are_listed_with_masks() {
        let link = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
        let list = entries(&[(link.into(), 64), (Ipv4Addr::new(10, 1, 2, 3).into(), 20)]);
        // SAFETY: `entries` made it; what came is freed once, after its last use.
        unsafe {
            let second = &*(*list).next;
            assert_eq!((CStr::from_ptr(second.name), second.flags), (c"eth0", 0x1043));
            assert_eq!(
                (&(&(*second.address))[4..8], &(&(*second.mask))[4..8]),
                (&[10, 1, 2, 3][..], &[255, 255, 240, 0][..])
            );
            assert_eq!((&(*second.broadcast))[4..8], [10, 1, 15, 255]);
            let last = &*(*(*second).next).next;
            assert_eq!((&(&(*last.address))[8..10], (&(*last.address))[24]), (&[0xfe, 0x80][..], 2));
            assert_eq!(((&(*last.mask))[15], (&(*last.mask))[16]), (255, 0));
            assert!(last.broadcast.is_null() && last.next.is_null());
            freeifaddrs(list);
        }
    }
}
