//! From the first 64-bit instruction to ring 3: memory laid out, boot information written, guest entered.
//!
//! # Physical memory
//! Low memory holds page tables and the boot information. From 1 MiB: exokernel, image, stack, arena. The arena is what
//! is left of that stretch of RAM; RAM above 4 GiB is not used.
//!
//! # The guest's addresses
//! ```text
//! random, 2 MiB aligned   image · guard · boot information · guard · vCPU · gate · guard · stack · guard · devices
//! random                  arena, congruent to its physical address modulo 2 MiB, so that large pages fit
//! ```

use crate::clock::{self, Sample};
use crate::device::{self, Window};
use crate::entropy::Entropy;
use crate::image::Image;
use crate::paging::{self, LARGE_SIZE, NO_EXECUTE, OWNED, PRESENT, PagingError, WRITE};
use crate::start::{COMMAND_LINE_MAX, Start};
use crate::{apic, command_line, cpu, descriptor, frames, gate, ram, serial, trap, upcall};
use abi::PAGE_SIZE;
use abi::address::{BusAddr, GuestAddr};
use abi::boot::{BOOT_MAGIC, BootInfo, Bytes, MAX_SEGMENTS, Region, Segment};
use abi::image::default_stack;
use abi::vcpu::{STATUS_FAULT, STATUS_OUT_OF_MEMORY};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The boot information's physical address, once it is complete.
static BOOT: AtomicU64 = AtomicU64::new(0);

fn information() -> Option<&'static BootInfo> {
    let address = BOOT.load(Relaxed);
    // SAFETY: written once by `main` and only read afterwards, by the guest too.
    (address != 0).then(|| unsafe { &*(address as *const BootInfo) })
}

/// The arena, empty before the guest runs.
pub fn arena() -> Region {
    information().map(|b| b.arena).unwrap_or_default()
}

/// The sealed segments.
pub fn segments() -> impl Iterator<Item = &'static Segment> {
    information().into_iter().flat_map(|b| b.segments.iter().take(b.segment_count as usize))
}

/// Prints an address, as an offset into the image where it lies in one.
pub fn print_address(address: u64) {
    let end = segments().last().map_or(0, |s| s.address.0 + s.length);
    let base = information().map_or(0, |b| b.image_base.0);
    if (base..end).contains(&address) {
        serial::print("image+");
        serial::hex(address - base);
    } else {
        serial::hex(address);
    }
}

/// Ends a machine that cannot start.
fn give_up(reason: &str, status: u64) -> ! {
    serial::print("ampoule: ");
    serial::print(reason);
    serial::print("\n");
    gate::exit(status)
}

/// A page table that does not fit means that there is too little memory.
fn must<T>(result: Result<T, PagingError>) -> T {
    match result {
        Ok(value) => value,
        Err(_) => give_up("there is no memory left for page tables; give the machine more", STATUS_OUT_OF_MEMORY),
    }
}

/// The 64-bit entry. `start` is the physical address of PVH's start information.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn exokernel_main(start: u32) -> ! {
    struct Once(UnsafeCell<Start>);
    // SAFETY: one CPU, and `exokernel_main` runs once.
    unsafe impl Sync for Once {}
    static START: Once = Once(UnsafeCell::new(Start::EMPTY));
    unsafe extern "C" {
        static __text_end: u8;
        static __rodata_start: u8;
        static __exokernel_end: u8;
        static exokernel_stack_guard: u8;
        static exokernel_stack_top: u8;
        static exokernel_directories: u8;
        static exokernel_data_start: u8;
    }
    let tsc_base = cpu::tsc();
    apic::start();
    let first = clock::sample();
    // SAFETY: the only reference, at the very beginning.
    let information = unsafe { &mut *START.0.get() };
    // SAFETY: PVH's hand-over; nothing has been written outside this program yet.
    if !unsafe { information.read(start.into()) } {
        give_up("this hypervisor does not hand over PVH start information", STATUS_FAULT);
    }
    if !cpu::has_fsgsbase() {
        give_up("this CPU has no FSGSBASE; use a newer one (with QEMU: -cpu max)", STATUS_FAULT);
    }
    let own = paging::Own {
        text_end: (&raw const __text_end) as u64,
        rodata_start: (&raw const __rodata_start) as u64,
        data_start: (&raw const exokernel_data_start) as u64,
        guard: (&raw const exokernel_stack_guard) as u64,
        directories: (&raw const exokernel_directories) as u64,
    };
    let end = (&raw const __exokernel_end) as u64;
    descriptor::load((&raw const exokernel_stack_top) as u64, trap::handler);
    main(information, &own, end, tsc_base, first)
}

/// Everything that does not depend on how the linker laid this program out.
fn main(start: &Start, own: &paging::Own, end: u64, tsc_base: u64, first: Sample) -> ! {
    // Low memory: the first page stays empty, and the range ends where firmware's own begins.
    let low = start.ranges().iter().find(|r| r.0 < 0x9_0000).copied().unwrap_or((0, 0));
    // SAFETY: RAM that only start information was in, which has been copied.
    unsafe { frames::give(low.0.max(PAGE_SIZE), low.1.min(0xa_0000)) };
    must(paging::narrow(own, start.ranges()));
    let cpu = cpu::configure();
    let mut entropy = Entropy::gather();

    // SAFETY: the sealing tool put the image where the linker script ends this program.
    let Some(mut image) = (unsafe { Image::find(end) }) else {
        give_up("there is no image behind the exokernel, or the machine's memory ends before it", STATUS_OUT_OF_MEMORY)
    };
    let line = start.command_line();
    image.base = GuestAddr(command_line::base(line).unwrap_or_else(|| random_slot(&mut entropy)));
    let ram = layout(&image, start);
    image.relocate();
    must(image.seal());

    let strings = Strings::build(&image, line);
    let pages = Pages::map(&image, &ram, &strings);
    let arena = map_arena(&ram, image.base, &mut entropy);
    let mut window = Window::new(GuestAddr(pages.end));
    let devices = device::find(line, &mut window);
    if apic::connect(serial::LINE, trap::SERIAL) {
        serial::listen();
    }

    let mut segments = [Segment::default(); MAX_SEGMENTS];
    segments.iter_mut().zip(image.segments()).for_each(|(to, from)| *to = from);
    let boot = BootInfo {
        magic: BOOT_MAGIC,
        gate: GuestAddr(pages.gate),
        vcpu: GuestAddr(pages.vcpu),
        image_base: image.base,
        segments,
        segment_count: image.header.segment_count,
        arena,
        stack: pages.stack,
        clock: clock::finish(tsc_base, first, command_line::time(line)),
        cpu,
        seed: entropy.seed(),
        devices: devices.devices,
        device_count: devices.count as u64,
        network: command_line::network(line),
        strings: Bytes { address: GuestAddr(pages.boot + STRINGS_AT), length: strings.length },
        argument_count: strings.arguments,
        environment_count: strings.environment,
        manifest: image.guest_bytes(image.header.manifest),
        digest: image.header.digest,
        symbols: image.guest_bytes(image.header.symbols),
        files: image.guest_bytes(image.header.files),
    };
    // SAFETY: the page was taken for it, and is mapped read-only for the guest.
    unsafe { (strings.page as *mut BootInfo).write(boot) };
    BOOT.store(strings.page, Relaxed);
    gate::set_address(pages.gate);
    cpu::write_msr(0xc000_0101, pages.vcpu); // GS base
    let entry = image.base.0 + image.header.entry;
    crate::entry::enter(entry, pages.stack.address.0 + pages.stack.length, pages.boot)
}

/// A random address, 2 MiB aligned, with hundreds of GiB of room above it, in neither the first nor the last part of
/// the lower half.
fn random_slot(entropy: &mut Entropy) -> u64 {
    let word = entropy.word();
    (1 + word % 254) << 39 | (word >> 16 & 0x1_ffff) << 21
}

/// What RAM is used for.
struct Ram {
    stack: (u64, u64),
    arena: (u64, u64),
}

/// Divides the RAM behind the image: stack, arena, and page tables for splitting all of the arena's large pages.
fn layout(image: &Image, start: &Start) -> Ram {
    let mut ranges = start.ranges().iter();
    let end =
        ranges.find(|r| r.0 <= image.end() && image.end() < r.1).map_or(0, |r| r.1).min(ram::MAPPED_END - LARGE_SIZE);
    let end = end & !(PAGE_SIZE - 1);
    let total: u64 = start.ranges().iter().map(|r| r.1 - r.0).sum();
    let stack = match image.header.stack {
        0 => default_stack(total.next_multiple_of(1 << 20)),
        bytes => bytes,
    };
    let after = image.end().saturating_add(stack);
    if after >= end {
        serial::print("ampoule: this machine has ");
        serial::decimal(total >> 10);
        serial::print(" KiB of memory, and the image with its stack needs ");
        serial::decimal((after >> 10) + 64);
        serial::print(" KiB; give it more\n");
        gate::exit(STATUS_OUT_OF_MEMORY);
    }
    // One table for each 2 MiB, a few for the rest; what low memory cannot hold comes from the top.
    let tables = (end - after) / LARGE_SIZE + 24;
    let missing = tables.saturating_sub(frames::left()) * PAGE_SIZE;
    let top = if missing < end - after { end - missing } else { end };
    // SAFETY: RAM behind the image, which nothing else will use.
    unsafe { frames::give(top, end) };
    if device::has_firmware() {
        // SAFETY: the arena and the stack, before anyone uses them.
        unsafe { ram::clear(image.end(), top - image.end()) };
    }
    Ram { stack: (image.end(), stack), arena: (after, top - after) }
}

/// The strings start behind the boot information, on its own pages.
const STRINGS_AT: u64 = (size_of::<BootInfo>() as u64).next_multiple_of(16);

/// Arguments and environment, written behind the boot information.
struct Strings {
    /// Physical address of the boot information's first page.
    page: u64,
    pages: u64,
    length: u64,
    arguments: u64,
    environment: u64,
}

impl Strings {
    /// The manifest's strings with the command line's changes.
    fn build(image: &Image, line: &[u8]) -> Strings {
        let sealed = image.bytes(image.header.strings);
        let room = sealed.len() as u64 + COMMAND_LINE_MAX.min(line.len() * 2) as u64;
        let pages = (STRINGS_AT + room).div_ceil(PAGE_SIZE);
        let page = must(frames::take(pages).ok_or(PagingError::NoFrames));
        let mut strings = Strings { page, pages, length: 0, arguments: 0, environment: 0 };

        let mut words = sealed.split(|b| *b == 0);
        let count = image.header.argument_count as usize;
        let own: Option<&[u8]> = words.next();
        strings.push(own.unwrap_or_default().iter().copied());
        strings.arguments = 1;
        let given = command_line::arguments(line);
        for word in words.by_ref().take(count.saturating_sub(1)) {
            if given.is_none() {
                strings.push(word.iter().copied());
                strings.arguments += 1;
            }
        }
        if let Some(given) = given {
            for word in given {
                strings.push(command_line::decode(word));
                strings.arguments += 1;
            }
        }
        for word in words.take(image.header.environment_count as usize) {
            let name = word.split(|b| *b == b'=').next().unwrap_or_default();
            let same = |w: &[u8]| command_line::decode(w).take_while(|b| *b != b'=').eq(name.iter().copied());
            if !command_line::environment(line).any(same) {
                strings.push(word.iter().copied());
                strings.environment += 1;
            }
        }
        for word in command_line::environment(line) {
            strings.push(command_line::decode(word));
            strings.environment += 1;
        }
        strings
    }

    fn push(&mut self, bytes: impl Iterator<Item = u8>) {
        let room = self.pages * PAGE_SIZE - STRINGS_AT;
        for byte in bytes.filter(|b| *b != 0).chain([0]) {
            if self.length < room {
                // SAFETY: inside the pages that `build` took.
                unsafe { ((self.page + STRINGS_AT + self.length) as *mut u8).write(byte) };
                self.length += 1;
            }
        }
    }
}

/// The guest addresses of what lies behind the image.
struct Pages {
    boot: u64,
    vcpu: u64,
    gate: u64,
    stack: Region,
    end: u64,
}

impl Pages {
    fn map(image: &Image, ram: &Ram, strings: &Strings) -> Pages {
        let boot = image.base.0 + image.header.span + PAGE_SIZE;
        let vcpu = boot + (strings.pages + 1) * PAGE_SIZE;
        let gate = vcpu + PAGE_SIZE;
        let stack = gate + 2 * PAGE_SIZE;
        let page = || must(frames::take(1).ok_or(PagingError::NoFrames));
        let (vcpu_page, gate_page) = (page(), page());
        // SAFETY: a fresh page each; the first becomes the vCPU block, the second the gate's code.
        unsafe {
            (vcpu_page as *mut u64).write(vcpu);
            (gate_page as *mut [u8; 2]).write(gate::CODE);
            upcall::set_block(vcpu_page);
        }
        must(paging::map(boot, strings.page, strings.pages * PAGE_SIZE, PRESENT | NO_EXECUTE));
        must(paging::map(vcpu, vcpu_page, PAGE_SIZE, PRESENT | WRITE | NO_EXECUTE));
        must(paging::map(gate, gate_page, PAGE_SIZE, PRESENT));
        must(paging::map(stack, ram.stack.0, ram.stack.1, PRESENT | WRITE | NO_EXECUTE));
        let end = stack + ram.stack.1 + PAGE_SIZE;
        let stack = Region { address: GuestAddr(stack), length: ram.stack.1, bus: BusAddr(ram.stack.0) };
        Pages { boot, vcpu, gate, stack, end }
    }
}

fn map_arena(ram: &Ram, image: GuestAddr, entropy: &mut Entropy) -> Region {
    let (physical, length) = ram.arena;
    // A slot of 512 GiB of its own.
    let mut address = random_slot(entropy);
    while address >> 39 == image.0 >> 39 {
        address = random_slot(entropy);
    }
    address += physical % LARGE_SIZE;
    must(paging::map(address, physical, length, PRESENT | WRITE | NO_EXECUTE | OWNED));
    Region { address: GuestAddr(address), length, bus: BusAddr(physical) }
}
