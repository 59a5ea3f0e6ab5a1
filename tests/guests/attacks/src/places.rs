//! Reading, writing and running what one must not.

use abi::boot::{BootInfo, SEGMENT_WRITE};
use abi::image::ImageHeader;
use machine::boot;
use std::hint::black_box;

/// `ret`: if it can be run, the attack has gone through.
pub(crate) const RET: u8 = 0xc3;

/// Read-only from the linker on.
static CONSTANT: [u8; 64] = [RET; 64];
/// Holds addresses, so it is written by the loader and sealed afterwards (RELRO).
static RELOCATED: [&[u8]; 2] = [&CONSTANT, b"relocated"];
/// Writable.
static mut DATA: [u8; 64] = [RET; 64];

/// The address that a name stands for.
pub(crate) fn place(name: &str) -> usize {
    let boot = boot();
    let stack = boot.stack.address.0 as usize;
    let arena = boot.arena.address.0 as usize;
    match name {
        "text" => place as *const () as usize,
        "constants" => CONSTANT.as_ptr() as usize,
        "relro" => relro(),
        "data" => (&raw mut DATA) as usize,
        "heap" => Box::leak(Box::new([RET; 64])).as_ptr() as usize,
        "stack" => black_box(&[RET; 64]).as_ptr() as usize,
        "arena" => arena + boot.arena.length as usize - 64,
        "page-0" => 16,
        "behind-ram" => arena + boot.arena.length as usize,
        "guard" => stack - 8,
        "boot" => std::ptr::from_ref::<BootInfo>(boot) as usize,
        "header" => boot.image_base.0 as usize,
        "gate" => boot.gate.0 as usize,
        "vcpu" => boot.vcpu.0 as usize + 2048,
        "behind-image" => (boot.image_base.0 + header().span) as usize,
        hexadecimal => {
            let digits = hexadecimal.strip_prefix("0x").expect("a place");
            usize::from_str_radix(digits, 16).expect("an address")
        }
    }
}

pub(crate) fn header() -> &'static ImageHeader {
    // SAFETY: the header is the first thing in the image (abi::image), and read-only.
    unsafe { &*(boot().image_base.0 as *const ImageHeader) }
}

fn relro() -> usize {
    let address = black_box(&RELOCATED).as_ptr() as u64;
    let within = |s: &&abi::boot::Segment| (s.address.0..s.address.0 + s.length).contains(&address);
    let segment = boot().segments.iter().find(within).expect("a segment");
    assert!(segment.access & SEGMENT_WRITE == 0, "what is relocated is still writable");
    address as usize
}

fn target(arguments: &[String]) -> usize {
    let name = arguments.first().expect("a place");
    let address = place(name);
    if name == "stack" || name == "heap" || name == "data" {
        // There is something to run if it can be run.
        // SAFETY: readable memory of this program.
        assert_eq!(unsafe { (address as *const u8).read_volatile() }, RET);
    }
    if name == "arena" || name == "vcpu" {
        // SAFETY: writable, and nothing else is there.
        unsafe { (address as *mut u8).write_volatile(RET) };
    }
    say_target(address);
    address
}

/// Says where the attack goes, and waits until that is out: the end may come without a flush.
pub(crate) fn say_target(address: usize) {
    println!("target {address:#x}");
    std::thread::sleep(std::time::Duration::from_millis(10));
}

pub(crate) fn read(arguments: &[String]) {
    let address = target(arguments);
    // SAFETY: none; it is meant to fault.
    black_box(unsafe { (address as *const u8).read_volatile() });
}

pub(crate) fn write(arguments: &[String]) {
    let address = target(arguments);
    // SAFETY: none; it is meant to fault.
    unsafe { (address as *mut u8).write_volatile(RET) };
}

pub(crate) fn run(arguments: &[String]) {
    jump(target(arguments));
}

/// Calls what lies at an address.
pub(crate) fn jump(address: usize) {
    // SAFETY: none; it is meant to fault.
    unsafe { std::mem::transmute::<usize, extern "C" fn()>(address)() };
}

/// A thread's stack, without end.
pub(crate) fn overflow(_: &[String]) {
    #[inline(never)]
    fn dig(depth: u64) -> u64 {
        let space = black_box([depth; 64]);
        if depth == u64::MAX { 0 } else { dig(depth + 1) + space[3] }
    }
    let digger = std::thread::Builder::new().name("digger".into());
    _ = black_box(digger.spawn(|| dig(0)).expect("spawns").join());
}

/// Says where everything lies and what randomness came along: for the measurement of entropy.
pub(crate) fn say(_: &[String]) {
    let boot = boot();
    println!("image {:#x}", boot.image_base.0);
    println!("stack {:#x}", boot.stack.address.0);
    println!("arena {:#x}", boot.arena.address.0);
    println!("gate {:#x}", boot.gate.0);
    println!("heap {:#x}", place("heap"));
    println!("seed 0x{}", boot.seed.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    std::process::exit(0);
}
