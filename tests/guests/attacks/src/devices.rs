//! Rings, doorbells, and devices that are told to write where nobody may.

use crate::places::{self, header, place};
use crate::{gate, refused};
use abi::boot::{DEVICE_ENTROPY, Device, Queue, TRANSPORT_MMIO, TRANSPORT_PCI, TRANSPORT_SHARED};
use abi::gate::Call;
use machine::boot;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// What VIRTIO 1.2 §2.1 calls ACKNOWLEDGE, DRIVER, FEATURES_OK and DRIVER_OK.
const STATUS: [u8; 4] = [1, 3, 11, 15];

fn devices() -> &'static [Device] {
    &boot().devices[..boot().device_count as usize]
}

/// Rings doorbells that do not exist: by the gate, and in every word of the pages that the guest sees of its devices'
/// notification registers.
pub(crate) fn doorbells(_: &[String]) {
    for (device, queue) in (0..40).flat_map(|d| (0..40).map(move |q| (d * d * d, q * q * q * q))) {
        gate::call(Call::Kick as u64, device, queue, 0);
    }
    for device in devices() {
        for queue in (4..1024u64).step_by(7) {
            // SAFETY: the device's own registers, which the guest may write; there are no such queues.
            unsafe {
                match device.transport {
                    TRANSPORT_MMIO => ((device.registers.0 + 0x50) as *mut u32).write_volatile(queue as u32),
                    TRANSPORT_PCI => (device.notify.0 as *mut u16).write_volatile(queue as u16),
                    _ => {}
                }
            }
        }
    }
    places::say_target(0x5eed);
    machine::mmio::write_port(0x5eed, 0);
}

/// Nonsense in a ring: KIND 0 to 5 as below, QUEUE counted over all devices that have their rings laid out, or that of
/// the entropy device.
pub(crate) fn ring(arguments: &[String]) {
    let number = |n: usize| arguments.get(n).map_or(0, |text| text.parse().expect("a number"));
    let (kind, wanted) = (number(0), number(1));
    let shared = devices().iter().enumerate().filter(|(_, d)| d.transport == TRANSPORT_SHARED);
    let laid_out = shared.flat_map(|(n, d)| (0..d.queue_count as usize).map(move |q| (n, q, d.queues[q])));
    match laid_out.collect::<Vec<_>>().get(wanted as usize) {
        Some((device, queue, place)) => {
            spoil(kind, place);
            for _ in 0..2 {
                machine::gate::kick(*device, *queue);
                machine::gate::wait(machine::clock::monotonic_ns() + 50_000_000);
            }
        }
        None => {
            let entropy = Entropy::take().expect("an entropy device");
            spoil(kind, &entropy.queue);
            entropy.kick();
        }
    }
    refused(format_args!("nobody minded"));
}

/// Descriptors: address, length, flags, next (VIRTIO 1.2 §2.7.5). Available ring: flags, index, entries (§2.7.6).
fn spoil(kind: u64, queue: &Queue) {
    let size = queue.size as u16;
    let descriptor = |n: u16, address: u64, length: u32, flags: u16, next: u16| {
        // SAFETY: `n` is below the queue's size; the memory is the driver's, and no other thread runs.
        unsafe {
            let entry = (queue.descriptors.0 as *mut u8).add(usize::from(n % size) * 16);
            entry.cast::<u64>().write_volatile(address);
            entry.add(8).cast::<u32>().write_volatile(length);
            entry.add(12).cast::<u16>().write_volatile(flags);
            entry.add(14).cast::<u16>().write_volatile(next);
        }
    };
    let all = |address: u64, length: u32| {
        (0..size).for_each(|n| descriptor(n, address, length, if n % 2 == 0 { 0 } else { WRITE }, 0));
    };
    let somewhere = boot().arena.bus.0;
    match kind {
        // An index that runs ahead of all that the ring can hold.
        0 => offer(queue, 0, size.wrapping_mul(2) + 7),
        // A descriptor that is not there.
        1 => offer(queue, size + 100, 1),
        // A buffer outside of the machine's memory: the far side's own, or nobody's.
        2 => {
            all(0x7fff_ffff_f000, 64);
            offer(queue, 0, 1);
        }
        // A chain that loops.
        3 => {
            (0..size).for_each(|n| descriptor(n, somewhere, 8, NEXT, n));
            offer(queue, 0, 1);
        }
        // A buffer that wraps round the address space.
        4 => {
            all(u64::MAX - 8, u32::MAX);
            offer(queue, 1 % size, 1);
        }
        // Sense for the ring, nonsense in the message.
        _ => {
            (0..size).for_each(|n| {
                descriptor(n, somewhere + 4096 * 3, 4096, if n == 0 { NEXT } else { WRITE }, 1 % size);
            });
            offer(queue, 0, 1);
        }
    }
}

/// Makes `entry` available `count` times.
fn offer(queue: &Queue, entry: u16, count: u16) {
    let (ring, size) = (queue.available.0 as *mut u16, queue.size as u16);
    // SAFETY: the ring's index behind its flags, then its entries.
    unsafe {
        let before = ring.add(1).read_volatile();
        for n in 0..count.min(size) {
            ring.add(2 + usize::from(before.wrapping_add(n) % size)).write_volatile(entry);
        }
        ring.add(1).write_volatile(before.wrapping_add(count));
    }
}

/// Tells a device to write over what the guest may not write itself.
pub(crate) fn writes(arguments: &[String]) {
    let name = arguments.first().expect("a place");
    let address = place(name);
    places::say_target(address);
    let Some(entropy) = Entropy::take() else {
        // With rings that the far side laid out, devices name memory as the guest does.
        let first = devices()[0].queues[0];
        one_buffer(&first, address as u64);
        machine::gate::kick(0, 0);
        return;
    };
    let read = || {
        // SAFETY: readable memory of this program that somebody else may change.
        unsafe { (address as *const u64).read_volatile() }
    };
    let before = read();
    one_buffer(&entropy.queue, bus(address));
    entropy.kick();
    if read() == before {
        refused(format_args!("the device has not written there"));
    }
}

fn one_buffer(queue: &Queue, address: u64) {
    // SAFETY: the queue's first descriptor, address, length, flags and next.
    unsafe {
        (queue.descriptors.0 as *mut [u64; 2]).write_volatile([address, 8 | u64::from(WRITE) << 32]);
    }
    offer(queue, 0, 1);
}

/// What devices call an address of the image: it lies in one piece below the stack.
fn bus(address: usize) -> u64 {
    boot().stack.bus.0 - header().span + (address as u64 - boot().image_base.0)
}

/// The entropy device, taken from its driver and started anew with a ring of our own.
struct Entropy {
    device: &'static Device,
    queue: Queue,
}

impl Entropy {
    fn take() -> Option<Self> {
        let device = devices().iter().find(|d| d.kind == DEVICE_ENTROPY)?;
        let memory = memory::pages::allocate(4096)?.as_ptr() as u64;
        let address = |offset| abi::address::GuestAddr(memory + offset);
        let queue = Queue {
            size: 4,
            descriptors: address(0),
            available: address(1024),
            used: address(2048),
            ..Queue::default()
        };
        let this = Self { device, queue };
        this.start(machine::dma::bus_address(memory as *const u8).0);
        Some(this)
    }

    fn store<T>(&self, offset: u64, value: T) {
        // SAFETY: a register of the device, which is the guest's.
        unsafe { ((self.device.registers.0 + offset) as *mut T).write_volatile(value) }
    }

    /// VIRTIO 1.2 §3.1.1, by MMIO (§4.2.2) or PCI (§4.1.4.3), with `VERSION_1` as the only feature.
    fn start(&self, bus: u64) {
        let areas = [bus, bus + 1024, bus + 2048];
        if self.device.transport == TRANSPORT_MMIO {
            self.store(0x70, 0u32);
            STATUS[..2].iter().for_each(|status| self.store(0x70, u32::from(*status)));
            for (word, features) in [(0u32, 0u32), (1, 1)] {
                self.store(0x24, word);
                self.store(0x20, features);
            }
            self.store(0x70, u32::from(STATUS[2]));
            self.store(0x30, 0u32);
            self.store(0x38, 4u32);
            for (register, area) in [0x80, 0x90, 0xa0].into_iter().zip(areas) {
                self.store(register, area as u32);
                self.store(register + 4, (area >> 32) as u32);
            }
            self.store(0x44, 1u32);
            return self.store(0x70, u32::from(STATUS[3]));
        }
        self.store(0x14, 0u8);
        STATUS[..2].iter().for_each(|status| self.store(0x14, *status));
        for (word, features) in [(0u32, 0u32), (1, 1)] {
            self.store(0x08, word);
            self.store(0x0c, features);
        }
        self.store(0x14, STATUS[2]);
        self.store(0x16, 0u16);
        self.store(0x18, 4u16);
        for (register, area) in [0x20, 0x28, 0x30].into_iter().zip(areas) {
            self.store(register, area as u32);
            self.store(register + 4, (area >> 32) as u32);
        }
        self.store(0x1c, 1u16);
        self.store(0x14, STATUS[3]);
    }

    /// Notifies it, and gives it up to a second to use a buffer.
    fn kick(&self) {
        if self.device.transport == TRANSPORT_MMIO {
            self.store(0x50, 0u32);
        } else {
            // SAFETY: queue 0's notification register, at the structure's start as QEMU places it.
            unsafe { (self.device.notify.0 as *mut u16).write_volatile(0) }
        }
        let used = || {
            // SAFETY: the used ring's index, behind its flags (VIRTIO 1.2 §2.7.8), in memory of ours.
            unsafe { (self.queue.used.0 as *const u16).add(1).read_volatile() }
        };
        let deadline = machine::clock::monotonic_ns() + 1_000_000_000;
        while used() == 0 && machine::clock::monotonic_ns() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
