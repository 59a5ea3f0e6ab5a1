//! Fills the boot information.

use super::child::Plan;
use super::frames::{ADDRESS, FEATURES};
use super::layout::Layout;
use super::load;
use super::rings::Rings;
use abi::address::{BusAddr, GuestAddr};
use abi::boot::{
    BOOT_MAGIC, BootInfo, Bytes, Clock, Cpu, DEVICE_CONSOLE, DEVICE_HOSTNET, DEVICE_NET, Device, MAX_DEVICES,
    NetworkConfig, Region, TRANSPORT_SHARED,
};
use abi::image::LinkRange;
use core::arch::x86_64::CpuidResult;

/// Device number of the console.
pub(crate) const CONSOLE: usize = 0;
/// Device number of the host's sockets or of the network device, if the machine is connected.
pub(crate) const NETWORK: usize = 1;

/// The state components that are saved at a pre-emption, if the CPU has them: x87, SSE, AVX and AVX-512. Not PKRU, which
/// is no program's own here, and not AMX, which the kernel would have to grant first.
pub(crate) const XSAVE_WANTED: u64 = 0xe7;

/// What the backend knows: how its gate is called, how time is told, what the CPU saves, what a kick costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Far {
    pub(crate) gate: u64,
    pub(crate) clock: Clock,
    pub(crate) cpu: Cpu,
    /// `DEVICE_FLAG_*` of every device.
    pub(crate) device_flags: u64,
}

/// The boot information of this machine. `strings_at` is where the caller puts the strings' bytes.
pub(crate) fn information(plan: &Plan<'_>, layout: &Layout, rings: &Rings, strings_at: u64, far: &Far) -> BootInfo {
    let Plan { program, strings, frames, seed, .. } = plan;
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
    devices[CONSOLE] = device(DEVICE_CONSOLE, b"console", rings.console(), far);
    let mut device_count = 1;
    if let Some(queues) = rings.hostnet() {
        devices[NETWORK] = device(DEVICE_HOSTNET, b"hostnet", queues, far);
        device_count = 2;
    }
    let mut network = NetworkConfig::default();
    if let (Some(queues), Some(frames)) = (rings.frames(), frames) {
        let address = GuestAddr(strings_at + frames.address_at as u64);
        let config = Bytes { address, length: ADDRESS as u64 };
        devices[NETWORK] = Device { features: FEATURES, config, ..device(DEVICE_NET, b"net", queues, far) };
        device_count = 2;
        network = frames.network;
    }
    BootInfo {
        magic: BOOT_MAGIC,
        gate: GuestAddr(far.gate),
        vcpu: GuestAddr(layout.vcpu.start),
        image_base: GuestAddr(layout.image.start),
        segments: load::sealed(program, layout),
        segment_count: program.header.segment_count,
        arena: region(layout.arena),
        stack: region(layout.stack),
        clock: far.clock,
        cpu: far.cpu,
        seed: *seed,
        devices,
        device_count,
        network,
        strings: Bytes { address: GuestAddr(strings_at), length: strings.bytes.len() as u64 },
        argument_count: strings.arguments,
        environment_count: strings.environment,
        manifest: bytes(program.header.manifest),
        digest: program.header.digest,
        symbols: bytes(program.header.symbols),
        files: bytes(program.header.files),
    }
}

fn device(kind: u64, name: &[u8], queues: &[abi::boot::Queue], far: &Far) -> Device {
    let mut device = Device { kind, transport: TRANSPORT_SHARED, flags: far.device_flags, ..Device::default() };
    for (to, from) in device.name.iter_mut().zip(name) {
        *to = *from;
    }
    for (to, from) in device.queues.iter_mut().zip(queues) {
        *to = *from;
        device.queue_count += 1;
    }
    device
}

/// SDM 1 §13.2: what XSAVE saves of `mask`, and how much room it takes in either format. `leaf` answers CPUID's leaf 13.
pub(crate) fn cpu(mask: u64, leaf: impl Fn(u32) -> CpuidResult) -> Cpu {
    if mask == 0 {
        return Cpu { xsave_mask: 0, xsave_size: 512, xsavec: 0 };
    }
    let mut standard = 512 + 64u64;
    let mut compact = 512 + 64u64;
    for component in (2..63).filter(|c| mask >> c & 1 == 1) {
        let leaf = leaf(component);
        standard = standard.max(u64::from(leaf.eax) + u64::from(leaf.ebx));
        // Bit 1 of ECX: this component is aligned to 64 bytes in the compact format.
        compact = if leaf.ecx & 2 != 0 { compact.next_multiple_of(64) } else { compact } + u64::from(leaf.eax);
    }
    Cpu { xsave_mask: mask, xsave_size: standard.max(compact), xsavec: u64::from(leaf(1).eax >> 1 & 1) }
}
