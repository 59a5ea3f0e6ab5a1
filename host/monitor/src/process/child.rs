//! The child: from the fork to the guest's first instruction.
//!
//! Until lock-down this is ordinary code in a copy of the tool's process; it builds the machine, then gives up everything
//! that the machine does not need, in this order: descriptors, the tool's arguments and environment (they stand on the
//! first stack, which is unmapped), and nearly all system calls.

use super::channel::Channel;
use super::layout::{Layout, Span};
use super::message::{Head, MESSAGE_MAX};
use super::rings::{self, Rings};
use super::strings::Strings;
use super::tender::{CONTROL, CONTROL_SET, EVENTS, INPUT_SET, LAST, TOKEN_CONTROL, TOKEN_INPUT};
use super::tender::{Moment, Tender, Upcall};
use super::{boot, filter, gate, load, signals, tender, vdso};
use crate::jail;
use crate::{Error, Program};
use abi::PAGE_SIZE;
use abi::address::BusAddr;
use abi::boot::BootInfo;
use abi::image::IMAGE_ALIGN;
use host_device::Ram;
use host_device::console::Console;
use host_device::hostnet::Hostnet;
use host_device::hostnet::table::{self, Table};
use host_device::system;
use std::os::fd::{AsRawFd, OwnedFd};

/// With this variable in the tool's environment, a machine that ends says how long it took from entry to `main`.
const MARKS: &str = "AMPOULE_MARKS";
/// Bytes of the tender's own stack, and of the one for signals.
const STACK: u64 = 256 << 10;
const SIGNAL_STACK: u64 = 64 << 10;
/// How often the slice timer looks, in CPU time of the machine. A machine that sleeps is not woken.
const SLICE_US: i64 = 10_000;
/// Sockets that a machine may have; the memory for them is there when it is used.
const SOCKETS: usize = 16384;
/// Bytes at the arena's start that are populated at once: what nearly every program touches before `main`.
const POPULATE: u64 = 64 << 10;

/// What the child is made from.
pub(crate) struct Plan<'a> {
    pub(crate) program: Program<'a>,
    pub(crate) layout: Layout,
    pub(crate) strings: Strings,
    pub(crate) rings: Rings,
    pub(crate) seed: [u8; 32],
    pub(crate) control: OwnedFd,
    pub(crate) parent: i32,
}

/// What lock-down still needs once the first stack is gone. Lives at the far end of the tender's stack.
struct Last {
    rules: Vec<libc::sock_filter>,
    entry: u64,
    stack: u64,
    boot: u64,
    old_stack_top: u64,
}

/// Becomes the machine. Returns only if that failed.
pub(crate) fn start(plan: Plan<'_>) -> Error {
    match build(plan) {
        // SAFETY: the stack is fresh, and nothing of this one is used any more.
        Ok((stack, last)) => unsafe { gate::move_to(stack, lock_down, Box::into_raw(last).cast()) },
        Err(error) => error,
    }
}

fn build(plan: Plan<'_>) -> Result<(u64, Box<Last>), Error> {
    // Before the life is tied: a change of user unties it (PR_SET_PDEATHSIG(2const)).
    jail::drop_root(false)?;
    die_with(plan.parent)?;
    let network = plan.rings.hostnet().is_some();
    descriptors(plan.control)?;
    let layout = place(&plan.layout)?;
    // SAFETY: `place` mapped it, and nothing else is there.
    unsafe { load::copy(&plan.program, &layout)? };
    let rings = plan.rings.at(layout.rings);
    let strings_at = layout.boot.start + size_of::<BootInfo>() as u64;
    let information = boot::information(&plan.program, &layout, &rings, &plan.strings, strings_at, plan.seed);
    // SAFETY: the boot pages are mapped, and the layout gave them room for both.
    unsafe {
        (layout.boot.start as *mut BootInfo).write(information);
        std::ptr::copy_nonoverlapping(plan.strings.bytes.as_ptr(), strings_at as *mut u8, plan.strings.bytes.len());
        // The block's first word is its own address, for `gs:0`.
        (layout.vcpu.start as *mut u64).write(layout.vcpu.start);
    }
    seal(&plan.program, &layout)?;
    let tender = tender(layout, &rings, &information)?;
    // SAFETY: once, in a process with one thread, before the guest runs.
    unsafe { tender::install(tender) };
    let own = map_own(STACK + SIGNAL_STACK + 2 * PAGE_SIZE)?;
    // SAFETY: mapped for good just now; the page below each stack stays inaccessible.
    unsafe {
        libc::mprotect(own as *mut _, PAGE_SIZE as usize, libc::PROT_NONE);
        libc::mprotect((own + PAGE_SIZE + SIGNAL_STACK) as *mut _, PAGE_SIZE as usize, libc::PROT_NONE);
        signals::install(own + PAGE_SIZE, SIGNAL_STACK as usize)?;
    }
    await_verdict()?;
    timers()?;
    let vdso = vdso::pages().map_or((0, 0), |(start, end)| (start as u64, end as u64));
    let (site, restorer) = (system::site(), signals::restorer_site());
    let rules = filter::Rules { layout, network, site, restorer, vdso }.assemble();
    let last = Last {
        rules,
        entry: layout.image.start + plan.program.header.entry,
        stack: layout.stack.end,
        boot: layout.boot.start,
        old_stack_top: stack_top(),
    };
    Ok((own + STACK + SIGNAL_STACK + 2 * PAGE_SIZE, Box::new(last)))
}

/// The last steps, on the tender's own stack: everything unneeded goes, the filter comes, the guest begins.
extern "sysv64" fn lock_down(last: *mut u8) -> ! {
    // SAFETY: `start` passed a box's pointer, for us alone.
    let last = unsafe { Box::from_raw(last.cast::<Last>()) };
    let (entry, stack, boot) = (last.entry, last.stack, last.boot);
    let program = libc::sock_fprog { len: last.rules.len() as u16, filter: last.rules.as_ptr().cast_mut() };
    // SAFETY: this code runs on another stack; what lies on the first one (arguments, environment, the tool's frames) is
    // not used again. The reservation below a main stack holds nothing else.
    unsafe {
        const BELOW: u64 = 64 << 20;
        libc::munmap((last.old_stack_top - BELOW) as *mut _, BELOW as usize);
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let result = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
        if result != 0 {
            tender::end(abi::vcpu::STATUS_ABORT, format_args!("the kernel refuses the seccomp filter"));
        }
        gate::enter(entry, stack, boot)
    }
}

/// Waits until the parent has found the image whole. If it did not, it ends this process.
fn await_verdict() -> Result<(), Error> {
    let mut message = [0; Head::LENGTH];
    // SAFETY: fills the array at most.
    let got = unsafe { libc::read(CONTROL, message.as_mut_ptr().cast(), message.len()) };
    if got == Head::LENGTH as isize { Ok(()) } else { Err(Error::last("hear from the tool")) }
}

/// The child is not to outlive the tool.
fn die_with(parent: i32) -> Result<(), Error> {
    // SAFETY: plain calls.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 || libc::getppid() != parent {
            return Err(Error::last("tie the machine's life to the tool's"));
        }
        // Deadlines are the guest's own; the default slack would add 50 µs to each.
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
    }
    Ok(())
}

/// Numbers the descriptors as the tender wants them, and closes all others.
fn descriptors(control: OwnedFd) -> Result<(), Error> {
    // SAFETY: descriptors only: none of those that are closed is used again in this process.
    unsafe {
        // Out of the way first: it may stand where another is to go.
        let high = libc::fcntl(control.as_raw_fd(), libc::F_DUPFD, LAST + 1);
        std::mem::forget(control);
        let mut failed = libc::dup2(high, CONTROL) < 0;
        for set in [EVENTS, INPUT_SET, CONTROL_SET] {
            let fresh = libc::epoll_create1(0);
            failed |= fresh < 0 || (fresh != set && libc::dup2(fresh, set) < 0);
        }
        if failed || libc::close_range(LAST as u32 + 1, u32::MAX, 0) != 0 {
            return Err(Error::last("arrange the machine's descriptors"));
        }
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
        let mut files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files) == 0 {
            files.rlim_cur = files.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files);
        }
    }
    Ok(())
}

/// Maps the machine's memory at a random place.
fn place(layout: &Layout) -> Result<Layout, Error> {
    let reserve = layout.reserve();
    for _ in 0..16 {
        let mut random = [0u8; 8];
        // SAFETY: fills the array.
        unsafe { libc::getrandom(random.as_mut_ptr().cast(), 8, 0) };
        // Anywhere between 4 GiB and 64 TiB: far from address 0, and below what the kernel gives out by itself.
        let base = (4 << 30) + u64::from_le_bytes(random) % (60 << 40);
        let layout = layout.at(base & !(IMAGE_ALIGN - 1));
        if !reserved(layout.image.start, reserve)? {
            continue;
        }
        for span in [layout.image, layout.boot, layout.vcpu, layout.rings, layout.stack, layout.arena] {
            open(span)?;
        }
        // What the start touches, in one go each instead of a fault a page.
        for span in [layout.image, layout.boot, layout.vcpu] {
            populate(span);
        }
        populate(Span { start: layout.stack.end - layout.stack.length().min(32 << 10), end: layout.stack.end });
        populate(Span { start: layout.arena.start, end: layout.arena.end.min(layout.arena.start + POPULATE) });
        return Ok(layout);
    }
    Err(Error::BadImage("no room for it in the address space"))
}

/// Reserves address space without access; false if something is there already.
fn reserved(address: u64, length: u64) -> Result<bool, Error> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a fresh mapping that replaces none.
    let at = unsafe { libc::mmap(address as *mut _, length as usize, libc::PROT_NONE, flags, -1, 0) };
    if at as u64 == address {
        return Ok(true);
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EEXIST) => Ok(false),
        _ => Err(Error::last("reserve address space for the machine")),
    }
}

fn open(span: Span) -> Result<(), Error> {
    protect(span, libc::PROT_READ | libc::PROT_WRITE)
}

fn protect(span: Span, protection: i32) -> Result<(), Error> {
    if span.length() == 0 {
        return Ok(());
    }
    // SAFETY: pages of the machine, of which no reference exists.
    let result = unsafe { libc::mprotect(span.start as *mut _, span.length() as usize, protection) };
    if result == 0 { Ok(()) } else { Err(Error::last("protect the machine's memory")) }
}

/// A help only: a kernel without it (before 5.14) takes the faults one by one.
fn populate(span: Span) {
    // SAFETY: pages of the machine, of which no reference exists.
    unsafe { libc::madvise(span.start as *mut _, span.length() as usize, libc::MADV_POPULATE_WRITE) };
}

/// Gives every page of the image its final access, none to what lies between segments, and the stretch behind the arena
/// back to nothing.
fn seal(program: &Program<'_>, layout: &Layout) -> Result<(), Error> {
    let mut end = layout.image.start;
    for segment in &program.header.segments[..program.header.segment_count as usize] {
        let start = layout.image.start + segment.address;
        protect(Span { start: end, end: start }, libc::PROT_NONE)?;
        end = start + segment.memory_length;
        protect(Span { start, end }, load::protection(segment.access))?;
    }
    protect(Span { start: end, end: layout.image.end }, libc::PROT_NONE)?;
    protect(layout.boot, libc::PROT_READ)?;
    // SAFETY: reserved by `place`, used by nobody.
    unsafe { libc::munmap(layout.arena.end as *mut _, layout.arena.length() as usize) };
    Ok(())
}

fn tender(layout: Layout, rings: &Rings, information: &BootInfo) -> Result<Tender, Error> {
    // SAFETY: the arena and the rings stay mapped for the process's life; the tender only copies and uses rings.
    let (ram, console) = unsafe {
        let arena = layout.arena;
        (Ram::new(BusAddr(arena.start), arena.start as *mut u8, arena.length()), rings::serve(rings.console()))
    };
    let console = console.ok_or(Error::BadImage("its console's queues cannot be laid out"))?;
    let console = Console::new(console, ram, INPUT_SET, EVENTS, TOKEN_INPUT);
    for set in [EVENTS, CONTROL_SET] {
        if system::epoll_add(set, CONTROL, system::EPOLL_IN, TOKEN_CONTROL) != 0 {
            return Err(Error::last("watch the control socket"));
        }
    }
    let buffer = map_own(MESSAGE_MAX as u64)?;
    // SAFETY: mapped for good just now, for this slice alone.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer as *mut u8, MESSAGE_MAX) };
    let hostnet = match rings.hostnet() {
        // SAFETY: as for the console's.
        Some(queues) => unsafe { rings::serve(queues) }.map(|queues| hostnet(queues, ram)).transpose()?,
        None => None,
    };
    let network = hostnet.is_some();
    Ok(Tender {
        layout,
        hostnet,
        console,
        monotonic_base_ns: information.clock.monotonic_base_ns,
        upcall: Upcall::default(),
        channel: Channel::new(buffer, CONTROL_SET, network),
        marks: std::env::var_os(MARKS).map(|_| Moment::now()),
    })
}

fn hostnet(queues: [abi::ring::Device; 3], ram: Ram) -> Result<Hostnet, Error> {
    let memory = map_own(table::memory_for(SOCKETS) as u64)?;
    // SAFETY: mapped for good just now, zeroed, for this table alone.
    let table = unsafe { Table::in_zeroed(memory as *mut u8, SOCKETS) };
    Ok(Hostnet::new(queues, ram, EVENTS, table))
}

/// Memory of the tender's own.
fn map_own(length: u64) -> Result<u64, Error> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping.
    let at =
        unsafe { libc::mmap(std::ptr::null_mut(), length as usize, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if at == libc::MAP_FAILED { Err(Error::last("map the tender's memory")) } else { Ok(at as u64) }
}

/// Starts the slice timer. It counts the machine's own CPU time, so that it needs no call to start or stop it, and a
/// machine that sleeps is not woken.
fn timers() -> Result<(), Error> {
    let every = libc::timeval { tv_sec: 0, tv_usec: SLICE_US };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a plain call.
    let result = unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(Error::last("start the slice timer")) }
}

/// One past the last byte of the first stack, where the kernel put the program's path (`AT_EXECFN`).
fn stack_top() -> u64 {
    // SAFETY: the auxiliary vector gives a string at the very top of the stack.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) };
    // SAFETY: as above; the string ends within its page, eight bytes before the stack does.
    let length = unsafe { libc::strlen(path as *const _) } as u64;
    (path + length + 8).next_multiple_of(PAGE_SIZE)
}
