//! One line for QEMU's guests, whoever boots: the same machine, accelerator, memory and devices for a sealed image and for
//! the Linux guest. What one of them does not use (the image's way to end QEMU, the virtual console, the source of entropy)
//! is there for both.

use super::place::{Place, accelerator};
use super::subjects::Program;
use crate::namespace::{GUEST_ADDRESS, HOST_ADDRESS};
use anyhow::{Result, anyhow, bail};
use std::net::SocketAddr;
use std::process::Command;

/// RAM, in MiB, of a guest where nothing else is said.
pub(super) const MEMORY: u64 = 128;

/// How a guest is connected.
#[derive(Clone, Copy)]
pub(super) enum Net {
    /// Not at all.
    None,
    /// To `tap0` of the namespace that QEMU runs in.
    Tap,
    /// By QEMU's own user networking, with the guest's TCP port 8080 at this address.
    User(SocketAddr),
}

/// The arguments for `qemu-system-x86_64`; both consoles are its standard output.
pub(super) fn arguments(qemu: &mut Command, place: Place, program: &Program, memory: u64, net: Net) -> Result<()> {
    let machine = "-M q35 -nodefaults -no-user-config -no-reboot -display none -chardev stdio,id=out,mux=on,signal=off \
                   -serial chardev:out -device virtio-serial-pci -device virtconsole,chardev=out -device virtio-rng-pci \
                   -device isa-debug-exit,iobase=0xf4,iosize=4";
    qemu.args(machine.split_whitespace()).args(accelerator().arguments.split_whitespace());
    qemu.args(["-m", &memory.to_string()]);
    match net {
        Net::None => {}
        Net::Tap => {
            qemu.args(["-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"]);
        }
        Net::User(host) => {
            let forward = format!("hostfwd=tcp:{}:{}-{GUEST_ADDRESS}:8080", host.ip(), host.port());
            qemu.args([
                "-netdev",
                &format!("user,id=net,net=10.99.0.0/24,host={HOST_ADDRESS},dns=10.99.0.3,{forward}"),
            ]);
        }
    }
    if !matches!(net, Net::None) {
        qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    }
    match place {
        Place::Q35 => {
            qemu.arg("-kernel").arg(&program.image);
            if !matches!(net, Net::None) {
                qemu.args(["-append", &format!("ampoule.ip={GUEST_ADDRESS}/24,{HOST_ADDRESS},{HOST_ADDRESS}")]);
            }
        }
        Place::Linux => {
            let linux = program.linux.as_ref().map_err(|error| anyhow!("{error}"))?;
            qemu.arg("-kernel").arg(&linux.kernel).arg("-initrd").arg(&linux.initrd);
            qemu.args(["-append", "console=ttyS0 quiet panic=-1"]);
        }
        _ => bail!("{} is not a guest of this line", place.who()),
    }
    Ok(())
}
