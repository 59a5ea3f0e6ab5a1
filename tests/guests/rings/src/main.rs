//! Writes nonsense where its devices read: the report says so, and the machine's keeper goes on. Ends with 134.
//!
//! The first argument chooses the nonsense (0 to 5, default 0), the second the queue, counted over all devices.
#[cfg(feature = "line")]
use ampoule as _;
#[cfg(feature = "line")]
use machine::{boot, gate};

#[cfg(feature = "line")]
fn main() {
    println!("before");
    let number = |n: usize| std::env::args().nth(n).map_or(0, |text| text.parse().expect("a number"));
    let (kind, wanted) = (number(1), number(2));
    let mut count = 0;
    for (index, device) in boot().devices[..boot().device_count as usize].iter().enumerate() {
        if device.transport != abi::boot::TRANSPORT_SHARED {
            continue;
        }
        for (queue, place) in device.queues[..device.queue_count as usize].iter().enumerate() {
            if count == wanted {
                spoil(kind, place);
                gate::kick(index, queue);
                gate::wait(machine::clock::monotonic_ns() + 50_000_000);
                gate::kick(index, queue);
                gate::wait(machine::clock::monotonic_ns() + 50_000_000);
            }
            count += 1;
        }
    }
    // Without a driver that still works, nothing more is printed: an end by itself says that nobody minded.
    std::process::exit(if wanted < count { 3 } else { 4 });
}

/// Descriptors: address, length, flags, next (VIRTIO 1.2 §2.7.5). Available ring: flags, index, entries (§2.7.6).
#[cfg(feature = "line")]
fn spoil(kind: u64, queue: &abi::boot::Queue) {
    const NEXT: u16 = 1;
    const WRITE: u16 = 2;
    let table = queue.descriptors.0 as *mut u8;
    let ring = queue.available.0 as *mut u16;
    let size = queue.size as u16;
    let descriptor = |n: u16, address: u64, length: u32, flags: u16, next: u16| {
        // SAFETY: `n` is below the queue's size; the memory is the driver's, and no other thread runs.
        unsafe {
            let entry = table.add(usize::from(n % size) * 16);
            entry.cast::<u64>().write_volatile(address);
            entry.add(8).cast::<u32>().write_volatile(length);
            entry.add(12).cast::<u16>().write_volatile(flags);
            entry.add(14).cast::<u16>().write_volatile(next);
        }
    };
    // SAFETY: the ring's index, behind its flags.
    let before = unsafe { ring.add(1).read_volatile() };
    let offer = |entry: u16, count: u16| {
        for n in 0..count.min(size) {
            // SAFETY: an entry of the ring.
            unsafe { ring.add(2 + usize::from(before.wrapping_add(n) % size)).write_volatile(entry) };
        }
        // SAFETY: its index.
        unsafe { ring.add(1).write_volatile(before.wrapping_add(count)) };
    };
    let somewhere = boot().arena.bus.0;
    match kind {
        // An index that jumps further than the queue is long.
        0 => offer(0, size.wrapping_mul(2) + 7),
        // A descriptor that is not there.
        1 => offer(size + 100, 1),
        // A buffer outside of the machine: the far side's own memory, or nobody's.
        2 => {
            (0..size).for_each(|n| descriptor(n, 0x7fff_ffff_f000, 64, if n % 2 == 0 { 0 } else { WRITE }, 0));
            offer(0, 1);
        }
        // A chain that loops.
        3 => {
            (0..size).for_each(|n| descriptor(n, somewhere, 8, NEXT, n));
            offer(0, 1);
        }
        // A buffer that wraps round the address space.
        4 => {
            (0..size).for_each(|n| descriptor(n, u64::MAX - 8, u32::MAX, if n % 2 == 0 { 0 } else { WRITE }, 0));
            offer(1 % size, 1);
        }
        // Sense for the ring, nonsense in the message.
        _ => {
            (0..size).for_each(|n| {
                descriptor(n, somewhere + 4096 * 3, 4096, if n == 0 { NEXT } else { WRITE }, 1 % size);
            });
            offer(0, 1);
        }
    }
}

#[cfg(not(feature = "line"))]
fn main() {}
