//! Network interfaces by name and number: `lo`, the machine's own, is 1, and the network's, where there is one, is 2.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{door, give_int, put, room, set_errno, text};
use super::socket::{ADDRESS_MAX, encode};
use alloc::boxed::Box;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use posix::errno::{Errno, Result};
use posix::socket::Address;

/// The names, from number 1 on.
const NAMES: [&CStr; 2] = [c"lo", c"eth0"];
/// `IF_NAMESIZE`
const NAME_ROOM: usize = 16;
/// `IFF_UP | IFF_LOOPBACK | IFF_RUNNING`
const LOOPBACK_FLAGS: c_uint = 0x1 | 0x8 | 0x40;

/// `struct ifaddrs`.
#[repr(C)]
pub(crate) struct Interface {
    next: *mut Interface,
    name: *const c_char,
    flags: c_uint,
    address: *mut [u8; ADDRESS_MAX],
    mask: *mut [u8; ADDRESS_MAX],
    other: *mut c_void,
    data: *mut c_void,
}

/// One entry and what it points to, in one allocation.
#[repr(C)]
struct Node {
    interface: Interface,
    address: [u8; ADDRESS_MAX],
    mask: [u8; ADDRESS_MAX],
}

fn count() -> usize {
    if posix::inet::outer().is_some() { 2 } else { 1 }
}

fn index(name: &[u8]) -> Option<c_uint> {
    NAMES[..count()].iter().position(|known| known.to_bytes() == name).map(|at| at as c_uint + 1)
}

/// An entry of `lo` before `next`.
fn entry(ip: IpAddr, mask: IpAddr, next: *mut Interface) -> *mut Interface {
    let wire = |ip| encode(Address::Inet(SocketAddr::new(ip, 0))).0;
    let none = core::ptr::null_mut();
    let interface = Interface {
        next,
        name: NAMES[0].as_ptr(),
        flags: LOOPBACK_FLAGS,
        address: none,
        mask: none,
        other: core::ptr::null_mut(),
        data: core::ptr::null_mut(),
    };
    let node = Box::into_raw(Box::new(Node { interface, address: wire(ip), mask: wire(mask) }));
    // SAFETY: made just now; the node points into itself and never moves.
    unsafe {
        (*node).interface.address = &raw mut (*node).address;
        (*node).interface.mask = &raw mut (*node).mask;
    }
    node.cast()
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

    /// BSD `getifaddrs`: the loopback's addresses. What the network's are, the network knows.
    fn getifaddrs(list: *mut *mut Interface) -> c_int {
        let ones = IpAddr::V6(Ipv6Addr::from([0xff; 16]));
        let six = entry(Ipv6Addr::LOCALHOST.into(), ones, core::ptr::null_mut());
        let four = entry(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(255, 0, 0, 0).into(), six);
        // SAFETY: the caller's contract.
        give_int(unsafe { put(list, four) }.map(|()| 0))
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
}
