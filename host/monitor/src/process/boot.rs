//! Fills the boot information.

use super::layout::Layout;
use super::rings::Rings;
use super::strings::Strings;
use super::{gate, load, vdso};
use crate::Program;
use abi::address::{BusAddr, GuestAddr};
use abi::boot::{
    BOOT_MAGIC, BootInfo, Bytes, CLOCK_FUNCTION, Clock, Cpu, DEVICE_CONSOLE, DEVICE_FLAG_CHEAP_KICK, DEVICE_HOSTNET,
    Device, MAX_DEVICES, NetworkConfig, Region, TRANSPORT_SHARED,
};
use abi::image::LinkRange;
use core::arch::x86_64::{__cpuid_count, _xgetbv};

/// Device number of the console.
pub(crate) const CONSOLE: usize = 0;
/// Device number of the host's sockets, if the manifest gives the machine a network.
pub(crate) const HOSTNET: usize = 1;

/// The state components that are saved at a pre-emption, if the CPU has them: x87, SSE, AVX and AVX-512. Not PKRU, which
/// is no program's own here, and not AMX, which the kernel would have to grant first.
const XSAVE_WANTED: u64 = 0xe7;

/// The boot information of this machine. `strings_at` is where the caller puts the strings' bytes.
pub(crate) fn information(
    program: &Program<'_>,
    layout: &Layout,
    rings: &Rings,
    strings: &Strings,
    strings_at: u64,
    seed: [u8; 32],
) -> BootInfo {
    let bytes = |range: LinkRange| Bytes {
        address: GuestAddr(if range.length == 0 { 0 } else { layout.image.start + range.address }),
        length: range.length,
    };
    let region = |span: super::layout::Span| Region {
        address: GuestAddr(span.start),
        length: span.length(),
        bus: BusAddr(span.start),
    };
    let mut devices = [Device::default(); MAX_DEVICES];
    devices[CONSOLE] = device(DEVICE_CONSOLE, b"console", rings.console());
    let mut device_count = 1;
    if let Some(queues) = rings.hostnet() {
        devices[HOSTNET] = device(DEVICE_HOSTNET, b"hostnet", queues);
        device_count = 2;
    }
    BootInfo {
        magic: BOOT_MAGIC,
        gate: GuestAddr(gate::entry()),
        vcpu: GuestAddr(layout.vcpu.start),
        image_base: GuestAddr(layout.image.start),
        segments: load::sealed(program, layout),
        segment_count: program.header.segment_count,
        arena: region(layout.arena),
        stack: region(layout.stack),
        clock: clock(),
        cpu: cpu(),
        seed,
        devices,
        device_count,
        network: NetworkConfig::default(),
        strings: Bytes { address: GuestAddr(strings_at), length: strings.bytes.len() as u64 },
        argument_count: strings.arguments,
        environment_count: strings.environment,
        manifest: bytes(program.header.manifest),
        digest: program.header.digest,
        symbols: bytes(program.header.symbols),
    }
}

fn device(kind: u64, name: &[u8], queues: &[abi::boot::Queue]) -> Device {
    let mut device = Device { kind, transport: TRANSPORT_SHARED, flags: DEVICE_FLAG_CHEAP_KICK, ..Device::default() };
    for (to, from) in device.name.iter_mut().zip(name) {
        *to = *from;
    }
    for (to, from) in device.queues.iter_mut().zip(queues) {
        *to = *from;
        device.queue_count += 1;
    }
    device
}

fn clock() -> Clock {
    let monotonic = vdso::now(libc::CLOCK_MONOTONIC);
    let wall = vdso::now(libc::CLOCK_REALTIME);
    Clock {
        kind: CLOCK_FUNCTION,
        function: GuestAddr(vdso::function()),
        monotonic_base_ns: monotonic,
        wall_base_ns: wall,
        ..Clock::default()
    }
}

/// SDM 1 §13.2: what XSAVE saves, and how much room it takes in either format.
fn cpu() -> Cpu {
    if !std::arch::is_x86_feature_detected!("xsave") {
        return Cpu { xsave_mask: 0, xsave_size: 512, xsavec: 0 };
    }
    let offered = __cpuid_count(0xd, 0);
    // SAFETY: the `xsave` feature, OSXSAVE included, was just found.
    let enabled = unsafe { _xgetbv(0) };
    let mask = enabled & (u64::from(offered.edx) << 32 | u64::from(offered.eax)) & XSAVE_WANTED;
    let mut standard = 512 + 64u64;
    let mut compact = 512 + 64u64;
    for component in (2..63).filter(|c| mask >> c & 1 == 1) {
        let leaf = __cpuid_count(0xd, component);
        standard = standard.max(u64::from(leaf.eax) + u64::from(leaf.ebx));
        // Bit 1 of ECX: this component is aligned to 64 bytes in the compact format.
        compact = if leaf.ecx & 2 != 0 { compact.next_multiple_of(64) } else { compact } + u64::from(leaf.eax);
    }
    let xsavec = u64::from(__cpuid_count(0xd, 1).eax >> 1 & 1);
    Cpu { xsave_mask: mask, xsave_size: standard.max(compact), xsavec }
}
