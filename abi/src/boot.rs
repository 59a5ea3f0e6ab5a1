//! Boot information: the read-only page (or two) that a machine starts from.
//!
//! The far side fills it before the first guest instruction; its address is in `rdi` at the entry, and the stack pointer
//! is at [`BootInfo::stack`]'s end, 16-byte aligned as before a call. All addresses are [`GuestAddr`] values unless a
//! field says otherwise. The guest may trust it: the far side can do worse than lie here.

use crate::address::{BusAddr, GuestAddr};

/// `"AMPOULE\x01"`, read as a little-endian number: the boot information's first field, and its version.
pub const BOOT_MAGIC: u64 = u64::from_le_bytes(*b"AMPOULE\x01");
/// At most this many devices a machine.
pub const MAX_DEVICES: usize = 8;
/// At most this many queues a device.
pub const MAX_QUEUES: usize = 4;
/// At most this many segments an image.
pub const MAX_SEGMENTS: usize = 8;

/// Everything a machine is told.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// A [`crate::gate::GateFn`].
    pub gate: GuestAddr,
    /// This vCPU's [`crate::vcpu::Vcpu`] block.
    pub vcpu: GuestAddr,
    /// What was added to the image's link addresses: where its first page lies.
    pub image_base: GuestAddr,
    /// The image's sealed segments, relocated and protected.
    pub segments: [Segment; MAX_SEGMENTS],
    /// How many of `segments` count.
    pub segment_count: u64,
    /// Memory for the guest to hand out: zeroed, readable and writable, page-aligned. Device buffers come from here.
    pub arena: Region,
    /// The first thread's stack; the page below its start is a guard page.
    pub stack: Region,
    /// How to tell the time.
    pub clock: Clock,
    /// What the CPU can do that a guest would otherwise have to ask a trapping instruction for.
    pub cpu: Cpu,
    /// Fresh randomness for this boot alone.
    pub seed: [u8; 32],
    /// The devices; the index is the number that [`crate::gate::Call::Kick`] and [`crate::vcpu::event_bit`] take.
    pub devices: [Device; MAX_DEVICES],
    /// How many of `devices` count.
    pub device_count: u64,
    /// What the far side already knows about the network that a `Net` device is on.
    pub network: NetworkConfig,
    /// Arguments, then environment: NUL-terminated strings, one after the other.
    pub strings: Bytes,
    /// How many of `strings` are arguments; the first is the program's name.
    pub argument_count: u64,
    /// How many of `strings` are environment entries (`NAME=value`).
    pub environment_count: u64,
    /// The sealed manifest ([`crate::manifest::Manifest`], CBOR).
    pub manifest: Bytes,
    /// The image's SHA-256 digest.
    pub digest: [u8; 32],
    /// The sealed symbol file (an ELF file with a symbol table), or empty.
    pub symbols: Bytes,
    /// The sealed files ([`crate::files::Files`]), page-aligned, or empty.
    pub files: Bytes,
}

/// A byte string in guest memory, read-only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// First byte.
    pub address: GuestAddr,
    /// Bytes.
    pub length: u64,
}

/// A stretch of RAM, and how devices name it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Region {
    /// First byte, page-aligned.
    pub address: GuestAddr,
    /// Bytes, a multiple of the page size.
    pub length: u64,
    /// What devices call `address`. Contiguous: `address + n` is `bus + n`.
    pub bus: BusAddr,
}

/// One sealed segment of the image.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// First byte, page-aligned.
    pub address: GuestAddr,
    /// Bytes, a multiple of the page size.
    pub length: u64,
    /// `SEGMENT_*` bits.
    pub access: u64,
}

/// [`Segment::access`] bit: instructions may be fetched.
pub const SEGMENT_EXECUTE: u64 = 1;
/// [`Segment::access`] bit: may be written.
pub const SEGMENT_WRITE: u64 = 2;
/// [`Segment::access`] bit: may be read.
pub const SEGMENT_READ: u64 = 4;

/// How to tell the time. The monotonic clock starts near 0 at boot and never goes back.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// [`CLOCK_TSC`] or [`CLOCK_FUNCTION`].
    pub kind: u64,
    /// `CLOCK_TSC`: the TSC's value when the monotonic clock was 0.
    pub tsc_base: u64,
    /// `CLOCK_TSC`: monotonic ns = ((tsc − `tsc_base`) × `multiplier`) >> 32.
    pub multiplier: u64,
    /// `CLOCK_FUNCTION`: a function `extern "C" fn(clock: i32, *mut [i64; 2]) -> i32` with the meaning of POSIX
    /// `clock_gettime`, which needs no privilege and no thread pointer and at most 1 KiB of stack.
    pub function: GuestAddr,
    /// `CLOCK_FUNCTION`: what to subtract from its `CLOCK_MONOTONIC`, in ns, to get the machine's monotonic clock.
    pub monotonic_base_ns: u64,
    /// Wall-clock time (ns since 1970, UTC) when the machine's monotonic clock was 0; 0 if nobody knows.
    pub wall_base_ns: u64,
}

/// [`Clock::kind`]: the time-stamp counter, scaled.
pub const CLOCK_TSC: u64 = 1;
/// [`Clock::kind`]: a function of the far side.
pub const CLOCK_FUNCTION: u64 = 2;

/// What the CPU can do, as far as the far side knows (SDM 1 §13: the XSAVE feature set). A guest that finds more in use saves
/// more.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// State components to save at a pre-emption (XCR0 as usable), or 0: use `fxsave`.
    pub xsave_mask: u64,
    /// Bytes that saving them takes (at least 512).
    pub xsave_size: u64,
    /// 1 if `xsavec` may be used, 0 if only `xsave`.
    pub xsavec: u64,
}

/// A device that the manifest names and this machine has.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Device {
    /// One of the `DEVICE_*` numbers.
    pub kind: u64,
    /// Its name in the manifest, padded with zeros.
    pub name: [u8; 16],
    /// One of the `TRANSPORT_*` numbers.
    pub transport: u64,
    /// `DEVICE_FLAG_*` bits.
    pub flags: u64,
    /// `TRANSPORT_SHARED`: feature bits both sides use (virtio's numbers), already agreed.
    pub features: u64,
    /// `TRANSPORT_SHARED`: the device's configuration space, read-only.
    pub config: Bytes,
    /// `TRANSPORT_SHARED`: the queues.
    pub queues: [Queue; MAX_QUEUES],
    /// `TRANSPORT_SHARED`: how many of `queues` count.
    pub queue_count: u64,
    /// `TRANSPORT_MMIO`: the register block (VIRTIO 1.2 §4.2.2), mapped for the guest.
    /// `TRANSPORT_PCI`: the common configuration structure (VIRTIO 1.2 §4.1.4.3).
    pub registers: GuestAddr,
    /// `TRANSPORT_PCI`: the notification structure (§4.1.4.4).
    pub notify: GuestAddr,
    /// `TRANSPORT_PCI`: bytes between notification addresses.
    pub notify_multiplier: u64,
    /// `TRANSPORT_PCI`: the device-specific configuration (§4.1.4.6).
    pub device_config: GuestAddr,
    /// `TRANSPORT_PCI`: the MSI-X table entry to name in `queue_msix_vector`.
    pub msix_vector: u64,
}

/// One virtqueue that the far side has laid out (VIRTIO 1.2 §2.7, with EVENT_IDX where `features` says so).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    /// Entries, a power of two.
    pub size: u64,
    /// Descriptor table.
    pub descriptors: GuestAddr,
    /// Driver area (available ring).
    pub available: GuestAddr,
    /// Device area (used ring).
    pub used: GuestAddr,
    /// I/O port to write to for a kick, or 0: use [`crate::gate::Call::Kick`].
    pub doorbell_port: u64,
}

/// [`Device::kind`]: Ethernet frames, virtio-net (§5.1).
pub const DEVICE_NET: u64 = 1;
/// [`Device::kind`]: blocks, virtio-blk (§5.2).
pub const DEVICE_BLOCK: u64 = 2;
/// [`Device::kind`]: console, see [`crate::console`]; under other hypervisors virtio-console (§5.3).
pub const DEVICE_CONSOLE: u64 = 3;
/// [`Device::kind`]: entropy, virtio-rng (§5.4).
pub const DEVICE_ENTROPY: u64 = 4;
/// [`Device::kind`]: the host's sockets, see [`crate::hostnet`].
pub const DEVICE_HOSTNET: u64 = 16;

/// [`Device::transport`]: queues laid out by the far side, no registers.
pub const TRANSPORT_SHARED: u64 = 1;
/// [`Device::transport`]: virtio over MMIO.
pub const TRANSPORT_MMIO: u64 = 2;
/// [`Device::transport`]: virtio over PCI.
pub const TRANSPORT_PCI: u64 = 3;

/// [`Device::flags`]: a kick is a plain call (tens of ns) and the queue is served before it returns, so drivers kick at
/// once. Without it a kick costs a machine exit, and drivers leave it to [`crate::gate::Call::Wait`].
pub const DEVICE_FLAG_CHEAP_KICK: u64 = 1;

/// What the far side knows of the network (all zero: nothing; use DHCP).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkConfig {
    /// IPv4 address, network byte order; 0.0.0.0 if unknown.
    pub address: [u8; 4],
    /// Prefix length in bits.
    pub prefix: u64,
    /// IPv4 gateway, or 0.0.0.0.
    pub gateway: [u8; 4],
    /// IPv4 name server, or 0.0.0.0.
    pub name_server: [u8; 4],
}
