//! The child from the fork on: the steps that both backends take on their way to lock-down.

use super::boot::{self, Far};
use super::channel::Channel;
use super::frames::Frames;
use super::layout::{Layout, Span};
use super::load;
use super::message::{Head, Kind, MESSAGE_MAX};
use super::rings::{self, Rings};
use super::strings::Strings;
use super::tender::{
    CAPTURE, CONTROL, CONTROL_SET, DEBUGGER, EVENTS, INPUT_SET, INTERFACE, LAST, TOKEN_CONTROL, TOKEN_FRAMES,
    TOKEN_INPUT, TRACE,
};
use super::tender::{Moment, Platform, Tender};
use super::upcall::Upcall;
use super::vdso;
use crate::counters::Page;
use crate::timeline::{Mark, Timeline};
use crate::{Error, Program};
use abi::PAGE_SIZE;
use abi::address::BusAddr;
use abi::boot::{BootInfo, Clock};
use abi::image::IMAGE_ALIGN;
use host_device::Ram;
use host_device::capture::flows::{self, Flows};
use host_device::capture::{self, Capture};
use host_device::console::Console;
use host_device::hostnet::Hostnet;
use host_device::hostnet::table::{self, Table};
use host_device::net::Net;
use host_device::system;
use std::os::fd::RawFd;

/// With this variable in the tool's environment, a machine that ends says how long it took from entry to `main`, and
/// under KVM how often it came out.
const MARKS: &str = "AMPOULE_MARKS";
/// Sockets that a machine may have; the memory for them is there when it is used.
const SOCKETS: usize = 16384;
/// Bytes at the arena's start that are populated at once: what nearly every program touches before `main`.
const POPULATE: u64 = 64 << 10;
/// Bytes of the stack for signals.
const SIGNAL_STACK: u64 = 64 << 10;

/// What the child is made from.
pub(crate) struct Plan<'a> {
    pub(crate) program: Program<'a>,
    pub(crate) layout: Layout,
    pub(crate) strings: Strings,
    pub(crate) rings: Rings,
    pub(crate) frames: Option<Frames>,
    pub(crate) seed: [u8; 32],
    /// This end of the socket pair. [`descriptors`] moves it.
    pub(crate) control: RawFd,
    /// The network device's, if there is one; it is moved too.
    pub(crate) interface: Option<RawFd>,
    pub(crate) parent: i32,
    /// Where to count, if somebody wants to know.
    pub(crate) counters: Option<&'static Page>,
    /// Where to note how far it has come.
    pub(crate) timeline: Option<Timeline>,
    /// The file for what goes over the network, if there is one; it is moved too.
    pub(crate) capture: Option<RawFd>,
    /// Where traces go, if they are wanted; it is moved too.
    pub(crate) trace: Option<RawFd>,
    /// The connection to a debugger, if there is one; it is moved too.
    pub(crate) debugger: Option<RawFd>,
    /// Where the image is to lie, if not anywhere.
    pub(crate) base: Option<u64>,
    /// With a debugger: where the linked program's address 0 is in the guest.
    pub(crate) symbols: u64,
}

impl Plan<'_> {
    /// The machine has come this far.
    pub(crate) fn mark(&self, mark: Mark) {
        self.timeline.inspect(|timeline| timeline.mark(mark));
    }
}

/// Waits until the parent has found the image whole, and tells it that the machine is made. If the image is not, the parent
/// ends this process.
pub(crate) fn await_verdict() -> Result<(), Error> {
    let mut message = [0; Head::LENGTH];
    // SAFETY: fills the array at most.
    let got = unsafe { libc::read(CONTROL, message.as_mut_ptr().cast(), message.len()) };
    let started = Head::new(Kind::Started).bytes();
    if got != Head::LENGTH as isize || system::write(CONTROL, started.as_ptr(), started.len()) < 0 {
        return Err(Error::last("hear from the tool"));
    }
    Ok(())
}

/// The child is not to outlive the tool.
pub(crate) fn die_with(parent: i32) -> Result<(), Error> {
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
pub(crate) fn descriptors(plan: &Plan<'_>) -> Result<(), Error> {
    // SAFETY: descriptors only: none of those that are closed is used again in this process.
    unsafe {
        // Out of the way first: they may stand where others are to go.
        let high = |descriptor| libc::fcntl(descriptor, libc::F_DUPFD, LAST + 1);
        let (control, interface, debugger) = (high(plan.control), plan.interface.map(high), plan.debugger.map(high));
        let (capture, trace) = (plan.capture.map(high), plan.trace.map(high));
        // Whatever else has one of their numbers goes, whether that is given anew or not.
        let mut failed = libc::close_range(CONTROL as u32, LAST as u32, 0) != 0;
        failed |= libc::dup2(control, CONTROL) < 0;
        failed |= interface.is_some_and(|interface| libc::dup2(interface, INTERFACE) < 0);
        failed |= capture.is_some_and(|capture| libc::dup2(capture, CAPTURE) < 0);
        failed |= trace.is_some_and(|trace| libc::dup2(trace, TRACE) < 0);
        failed |= debugger.is_some_and(|debugger| libc::dup2(debugger, DEBUGGER) < 0);
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

/// Reserves address space without access; false if something is there already.
pub(crate) fn reserved(address: u64, length: u64) -> Result<bool, Error> {
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

/// A random base for the guest: anywhere between 4 GiB and 64 TiB, far from address 0, and below what the kernel gives
/// out by itself.
pub(crate) fn random_base() -> u64 {
    let mut random = [0u8; 8];
    // SAFETY: fills the array.
    unsafe { libc::getrandom(random.as_mut_ptr().cast(), 8, 0) };
    ((4 << 30) + u64::from_le_bytes(random) % (60 << 40)) & !(IMAGE_ALIGN - 1)
}

/// Makes the machine's memory, which is reserved, accessible, and has what the start touches there in one go each instead
/// of a fault a page.
pub(crate) fn open(layout: &Layout) -> Result<(), Error> {
    for span in [layout.image, layout.boot, layout.vcpu, layout.rings, layout.far, layout.stack, layout.arena] {
        protect(layout, span, libc::PROT_READ | libc::PROT_WRITE)?;
    }
    populate(layout, Span { start: layout.image.start, end: layout.far.end });
    populate(layout, Span { start: layout.stack.end - layout.stack.length().min(32 << 10), end: layout.stack.end });
    populate(layout, Span { start: layout.arena.start, end: layout.arena.end.min(layout.arena.start + POPULATE) });
    Ok(())
}

/// Gives a span of the machine's memory this access for the child.
pub(crate) fn protect(layout: &Layout, span: Span, protection: i32) -> Result<(), Error> {
    if span.length() == 0 {
        return Ok(());
    }
    // SAFETY: pages of the machine, of which no reference exists.
    let result = unsafe { libc::mprotect(layout.host(span.start).cast(), span.length() as usize, protection) };
    if result == 0 { Ok(()) } else { Err(Error::last("protect the machine's memory")) }
}

/// A help only: a kernel without it (before 5.14) takes the faults one by one.
fn populate(layout: &Layout, span: Span) {
    // SAFETY: pages of the machine, of which no reference exists.
    unsafe { libc::madvise(layout.host(span.start).cast(), span.length() as usize, libc::MADV_POPULATE_WRITE) };
}

/// Fills the memory: the image, the boot information, the vCPU block. Gives the boot information.
///
/// # Errors
/// None after [`load::check`].
///
/// # Safety
/// The memory of the layout was opened just now, and nothing else is there.
pub(crate) unsafe fn fill(plan: &Plan<'_>, layout: &Layout, rings: &Rings, far: &Far) -> Result<BootInfo, Error> {
    // SAFETY: this function's contract.
    unsafe { load::copy(&plan.program, layout)? };
    let strings_at = layout.boot.start + size_of::<BootInfo>() as u64;
    let information = boot::information(plan, layout, rings, strings_at, far);
    let bytes = &plan.strings.bytes;
    // SAFETY: the boot pages are open, and the layout gave them room for both.
    unsafe {
        layout.host(layout.boot.start).cast::<BootInfo>().write(information);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), layout.host(strings_at), bytes.len());
        // The block's first word is its own address, for `gs:0`.
        layout.host(layout.vcpu.start).cast::<u64>().write(layout.vcpu.start);
    }
    Ok(information)
}

/// Gives every page of the image its final access for the child, but only what is in `allowed`, and none to what lies
/// between segments.
pub(crate) fn seal(program: &Program<'_>, layout: &Layout, allowed: i32) -> Result<(), Error> {
    let mut end = layout.image.start;
    for segment in &program.header.segments[..program.header.segment_count as usize] {
        let start = layout.image.start + segment.address;
        protect(layout, Span { start: end, end: start }, libc::PROT_NONE)?;
        end = start + segment.memory_length;
        protect(layout, Span { start, end }, load::protection(segment.access) & allowed)?;
    }
    protect(layout, Span { start: end, end: layout.image.end }, libc::PROT_NONE)?;
    protect(layout, layout.boot, libc::PROT_READ)
}

/// Gives the image's code this access for the child.
pub(crate) fn protect_code(program: &Program<'_>, layout: &Layout, protection: i32) -> Result<(), Error> {
    let segments = &program.header.segments[..program.header.segment_count as usize];
    for segment in segments.iter().filter(|segment| load::protection(segment.access) & libc::PROT_EXEC != 0) {
        let start = layout.image.start + segment.address;
        protect(layout, Span { start, end: start + segment.memory_length }, protection)?;
    }
    Ok(())
}

/// The far side of the gate. `clock` is the guest's, as the child reads it.
pub(crate) fn tender<P: Platform>(
    plan: &Plan<'_>,
    platform: P,
    layout: Layout,
    rings: &Rings,
    clock: Clock,
) -> Result<Tender<P>, Error> {
    // SAFETY: the arena and the rings stay mapped for the process's life; the tender only copies and uses rings.
    let (ram, console) = unsafe {
        let arena = layout.arena;
        let ram = Ram::new(BusAddr(arena.start), layout.host(arena.start), arena.length());
        (ram, rings::serve(rings.console(), &layout))
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
        Some(queues) => {
            // SAFETY: as for the console's.
            let queues = unsafe { rings::serve(queues, &layout) };
            queues.map(|queues| hostnet(plan, queues, ram)).transpose()?
        }
        None => None,
    };
    let network = hostnet.is_some();
    let frames = match rings.frames() {
        // SAFETY: as for the console's.
        Some(queues) => unsafe { rings::serve(queues, &layout) }
            .and_then(|queues| Net::new(queues, ram, INTERFACE, EVENTS, TOKEN_FRAMES))
            .map_or_else(|| Err(Error::last("watch the TAP interface")), |net| captured(plan, net).map(Some))?,
        None => None,
    };
    Ok(Tender {
        platform,
        layout,
        hostnet,
        frames,
        console,
        clock,
        upcall: Upcall::default(),
        channel: Channel::new(buffer, CONTROL_SET, network),
        counters: plan.counters,
        timeline: plan.timeline,
        calls: 0,
        waits: 0,
        traces: plan.trace.is_some(),
        says_marks: std::env::var_os(MARKS).is_some(),
        made: Moment::now(),
    })
}

/// The network device, with its capture.
fn captured(plan: &Plan<'_>, mut net: Net) -> Result<Net, Error> {
    if let Some(capture) = capture(plan)? {
        net.set_capture(capture);
    }
    Ok(net)
}

fn hostnet(plan: &Plan<'_>, queues: [abi::ring::Device; 3], ram: Ram) -> Result<Hostnet, Error> {
    let memory = map_own(table::memory_for(SOCKETS) as u64)?;
    // SAFETY: mapped for good just now, zeroed, for this table alone.
    let table = unsafe { Table::in_zeroed(memory as *mut u8, SOCKETS) };
    let mut hostnet = Hostnet::new(queues, ram, EVENTS, table);
    if let Some(capture) = capture(plan)? {
        let memory = map_own(flows::memory_for(SOCKETS) as u64)?;
        // SAFETY: mapped for good just now, zeroed, for these flows alone.
        hostnet.set_flows(unsafe { Flows::in_zeroed(capture, memory as *mut u8, SOCKETS) });
    }
    Ok(hostnet)
}

/// The capture, if one is wanted.
fn capture(plan: &Plan<'_>) -> Result<Option<Capture>, Error> {
    if plan.capture.is_none() {
        return Ok(None);
    }
    let room = map_own(capture::ROOM as u64)?;
    // SAFETY: mapped for good just now, for this slice alone.
    let room = unsafe { std::slice::from_raw_parts_mut(room as *mut u8, capture::ROOM) };
    Ok(Some(Capture::new(CAPTURE, || vdso::now(libc::CLOCK_REALTIME), room)))
}

/// Memory of the tender's own.
pub(crate) fn map_own(length: u64) -> Result<u64, Error> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping.
    let at =
        unsafe { libc::mmap(std::ptr::null_mut(), length as usize, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if at == libc::MAP_FAILED { Err(Error::last("map the tender's memory")) } else { Ok(at as u64) }
}

/// Stacks of the child's own, each with an inaccessible page below it: one for signals, and below what is given back, if
/// `length` is not 0, one of that many bytes.
pub(crate) fn stacks(length: u64) -> Result<Stacks, Error> {
    let start = map_own(SIGNAL_STACK + length + 2 * PAGE_SIZE)?;
    let (signals, top) = (start + PAGE_SIZE, start + SIGNAL_STACK + length + 2 * PAGE_SIZE);
    // SAFETY: mapped for good just now.
    unsafe {
        libc::mprotect(start as *mut _, PAGE_SIZE as usize, libc::PROT_NONE);
        libc::mprotect((signals + SIGNAL_STACK) as *mut _, PAGE_SIZE as usize, libc::PROT_NONE);
    }
    Ok(Stacks { signals, signals_length: SIGNAL_STACK as usize, top })
}

/// What [`stacks`] made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stacks {
    /// The first byte of the one for signals.
    pub(crate) signals: u64,
    /// Its bytes.
    pub(crate) signals_length: usize,
    /// The end of the other one.
    pub(crate) top: u64,
}

/// Gives up every system call that `program` does not allow, for good.
///
/// # Errors
/// The kernel refuses the filter.
pub(crate) fn lock_down(program: &[libc::sock_filter]) -> Result<(), Error> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program lives through the call.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(Error::last("lock the machine down")) }
}
