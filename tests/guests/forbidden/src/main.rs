//! Does what no program in ring 3 may, chosen by its first argument (a number, default 0): each ends the machine with
//! a report that says where, and with 139. An end by itself, with 3, says that it was let through.
#[cfg(feature = "line")]
use ampoule as _;
use std::arch::asm;
use std::hint::black_box;

/// Instructions that are meant to fault.
macro_rules! op {
    ($($line:literal),+) => {
        // SAFETY: none; it is meant to fault.
        unsafe { asm!($($line),+, out("rax") _, out("rcx") _, out("rdx") _) }
    };
}

/// What there is. Ports: one of nobody's, those of an emulated PC, those that a monitor of ours may use itself.
const ATTEMPTS: [(&str, fn()); 27] = [
    ("cli", || op!("cli")),
    ("sti", || op!("sti")),
    ("hlt", || op!("hlt")),
    ("read cr3", || op!("mov rax, cr3")),
    ("write cr3", || op!("mov cr3, rax")),
    ("write cr0", || op!("mov cr0, rax")),
    ("read a model-specific register", || op!("mov ecx, 0xc0000080", "rdmsr")),
    ("write a model-specific register", || op!("mov ecx, 0xc0000080", "wrmsr")),
    ("write XCR0", || op!("xor ecx, ecx", "xor edx, edx", "mov eax, 1", "xsetbv")),
    ("load a descriptor table", || op!("sub rsp, 16", "lgdt [rsp]")),
    ("load the task register", || op!("mov eax, 0x40", "ltr ax")),
    ("flush a translation", || op!("invlpg [rsp]")),
    ("read a port", || op!("in al, 0x60")),
    ("write a port", || op!("mov dx, 0x3f8", "out dx, al")),
    ("write a port of nobody's", || op!("mov dx, 0x5678", "out dx, eax")),
    ("a port after raising the I/O privilege", || {
        op!("pushfq", "or qword ptr [rsp], 0x3000", "popfq", "mov dx, 0x3f8", "out dx, al")
    }),
    ("read the gate's port", || op!("in al, 0xe0")),
    ("write the gate's port wide", || op!("out 0xe0, eax")),
    ("write an exception's port", || op!("out 0xce, al")),
    ("a software interrupt that pretends to be an exception", || op!("int 13")),
    ("a software interrupt of nobody's", || op!("int 0x21")),
    ("return to ring 0", || {
        op!(
            "mov rax, rsp",
            "push 0x18",
            "push rax",
            "pushfq",
            "push 0x10",
            "lea rax, [rip + 2f]",
            "push rax",
            "iretq",
            "2:"
        )
    }),
    ("write to code", write_to_code),
    ("write to constants", || write(&raw const CONSTANT as *mut u8)),
    ("run the stack", run_the_stack),
    ("run the heap", || run(Box::leak(vec![0xc3u8; 64].into_boxed_slice()).as_ptr())),
    ("run page 0", || run(std::ptr::without_provenance(black_box(0x10)))),
];

static CONSTANT: [u8; 64] = [7; 64];

fn write(at: *mut u8) {
    // SAFETY: none; it is meant to fault.
    unsafe { black_box(at).write_volatile(0xc3) }
}

fn write_to_code() {
    write(write_to_code as fn() as *mut u8);
}

fn run(at: *const u8) {
    // SAFETY: none; it is meant to fault.
    unsafe { std::mem::transmute::<*const u8, extern "C" fn()>(black_box(at))() }
}

fn run_the_stack() {
    let code = black_box([0xc3u8; 64]);
    run(code.as_ptr());
}

fn main() {
    println!("before");
    let number = std::env::args().nth(1).map_or(0, |text| text.parse().expect("a number"));
    let Some((name, attempt)) = ATTEMPTS.get::<usize>(number) else { std::process::exit(4) };
    println!("{name}");
    attempt();
    std::process::exit(3);
}
