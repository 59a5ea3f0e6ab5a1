//! A TAP interface of the host (`Documentation/networking/tuntap.rst`): Ethernet frames on a descriptor.
//!
//! The interface is the operator's: he makes it, gives it to the user who runs the tool, and connects it to whatever he
//! likes. Nothing is made here, so no root is needed. Each frame stands behind the header of virtio-net, and the kernel may
//! leave checksums to the machine and the machine to the kernel.

use crate::Error;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

/// Bytes of `struct virtio_net_hdr_v1` (VIRTIO 1.2 §5.1.6).
static HEADER: libc::c_int = 12;
/// The kernel may hand over frames whose checksum is not complete (include/uapi/linux/if_tun.h).
const TUN_F_CSUM: libc::c_ulong = 1;

/// Opens the interface of this name, without waiting on reads.
///
/// # Errors
/// [`Error::Tap`]: there is none, it is no TAP interface, it is in use, or it is another user's.
pub(crate) fn open(name: &str) -> Result<OwnedFd, Error> {
    let failed = |cause| Error::Tap { interface: name.to_owned(), cause };
    // TUNSETIFF would make an interface that is not there, for root; it would be gone with the machine.
    if !std::path::Path::new("/sys/class/net").join(name).join("tun_flags").exists() {
        return Err(failed(std::io::ErrorKind::NotFound.into()));
    }
    let mut options = OpenOptions::new();
    let tun = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun").map_err(failed)?;
    attach(&tun, name).map_err(failed)?;
    Ok(tun.into())
}

fn attach(tun: &File, name: &str) -> std::io::Result<()> {
    // SAFETY: a plain structure.
    let mut request = unsafe { std::mem::zeroed::<libc::ifreq>() };
    // The last byte stays 0. A name with a slash or a NUL names no folder of /sys/class/net.
    if name.len() >= request.ifr_name.len() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    let done = |result: libc::c_int| if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) };
    let descriptor = tun.as_raw_fd();
    // SAFETY: the requests read a structure, an integer behind a pointer, and a plain integer.
    unsafe {
        done(libc::ioctl(descriptor, libc::TUNSETIFF as _, &raw const request))?;
        done(libc::ioctl(descriptor, libc::TUNSETVNETHDRSZ as _, &raw const HEADER))?;
        done(libc::ioctl(descriptor, libc::TUNSETOFFLOAD as _, TUN_F_CSUM))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_tap_interface_is_said() {
        for name in ["lo", "no-such-interface", "", "../../class/net/lo", "a-name-that-is-much-too-long"] {
            let error = super::open(name).expect_err("this is none").to_string();
            assert!(error.contains("ip tuntap add"), "{error}");
        }
    }
}
