//! Process 1 of the Linux guest that `bench` compares with: loads modules, configures the network, becomes the program.

mod system;

use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() -> Result<()> {
    system::mount("proc", "/proc")?;
    for (module, error) in system::load_modules("")? {
        eprintln!("{}: {error}", module.display());
    }
    if std::path::Path::new("/proc/sys/net/ipv4/conf/eth0").exists() {
        network::configure("eth0", [10, 99, 0, 2], [255, 255, 255, 0]).context("configuring eth0")?;
    }
    Err(Command::new("/program").env("BENCH", "1").exec()).context("starting /program")
}

mod network {
    //! The three `ioctl`s of netdevice(7) that give an interface an address and bring it up.

    use anyhow::{Result, bail};
    use std::os::fd::AsRawFd;

    #[repr(C)]
    struct Request {
        name: [u8; 16],
        data: [u8; 24],
    }

    const SIOCSIFADDR: u64 = 0x8916;
    const SIOCSIFNETMASK: u64 = 0x891c;
    const SIOCSIFFLAGS: u64 = 0x8914;
    const UP_AND_RUNNING: u16 = 0x41;

    unsafe extern "C" {
        fn ioctl(descriptor: i32, request: u64, ...) -> i32;
    }

    /// Gives `interface` an IPv4 address and brings it up.
    pub(crate) fn configure(interface: &str, address: [u8; 4], mask: [u8; 4]) -> Result<()> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        call(&socket, interface, SIOCSIFADDR, &inet(address))?;
        call(&socket, interface, SIOCSIFNETMASK, &inet(mask))?;
        call(&socket, interface, SIOCSIFFLAGS, &UP_AND_RUNNING.to_le_bytes())
    }

    /// A `sockaddr_in` with port 0.
    fn inet(address: [u8; 4]) -> [u8; 8] {
        let [a, b, c, d] = address;
        [2, 0, 0, 0, a, b, c, d]
    }

    fn call(socket: &impl AsRawFd, interface: &str, request: u64, data: &[u8]) -> Result<()> {
        let mut argument = Request { name: [0; 16], data: [0; 24] };
        argument.name[..interface.len()].copy_from_slice(interface.as_bytes());
        argument.data[..data.len()].copy_from_slice(data);
        // SAFETY: the requests above take a pointer to a `struct ifreq`, which `Request` is as long as on x86-64 (40 bytes).
        if unsafe { ioctl(socket.as_raw_fd(), request, &raw mut argument) } < 0 {
            bail!("ioctl {request:#x}: {}", std::io::Error::last_os_error());
        }
        Ok(())
    }
}
