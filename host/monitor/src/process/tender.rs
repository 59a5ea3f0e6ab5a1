//! The tender: the far side of the gate, inside the locked-down child.
//!
//! Everything here runs with the guest stopped, on the tender's own stack, without allocating: after lock-down the
//! process can get no more memory. One value holds it all, and [`dispatch`] is the only way in besides the signal
//! handlers, which never touch it while the tender runs.

use super::channel::Channel;
use super::layout::Layout;
use super::message::{Head, Kind};
use super::{boot, gate, vdso};
use abi::PAGE_SIZE;
use abi::gate::{
    ACCESS_EXECUTE, ACCESS_NONE, ACCESS_READ, ACCESS_READ_WRITE, BACKTRACE_MAX, Call, GateError, LOG_MAX, LogKind,
    WAIT_FOREVER, WAIT_POLL,
};
use abi::vcpu::{STATUS_ABORT, Vcpu, event_bit};
use core::cell::UnsafeCell;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicPtr, Ordering};
use host_device::console::Console;
use host_device::hostnet::Hostnet;
use host_device::system::{self, EpollEvent, errno};
use host_device::{Nonsense, Served};

/// The child's descriptors besides 0, 1 and 2.
pub(crate) const CONTROL: i32 = 3;
pub(crate) const EVENTS: i32 = 4;
pub(crate) const INPUT_SET: i32 = 5;
pub(crate) const CONTROL_SET: i32 = 6;
/// The last of them.
pub(crate) const LAST: i32 = CONTROL_SET;

/// Tokens in the epoll set. Sockets have their own numbers, which start above.
pub(crate) const TOKEN_CONTROL: u64 = 1 << 32;
pub(crate) const TOKEN_INPUT: u64 = 1 << 33;

/// How many epoll events one wait takes.
const BATCH: usize = 128;

/// The far side of the gate.
#[derive(Debug)]
pub(crate) struct Tender {
    pub(crate) layout: Layout,
    pub(crate) console: Console,
    /// `CLOCK_MONOTONIC` when the machine's monotonic clock was 0, in ns.
    pub(crate) monotonic_base_ns: u64,
    pub(crate) upcall: Upcall,
    pub(crate) channel: Channel,
    pub(crate) hostnet: Option<Hostnet>,
    /// Where somebody wants to know how long the guest takes to `main`.
    pub(crate) marks: Option<Moment>,
}

/// One moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    ticks: u64,
    ns: u64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        // SAFETY: ring 3 may read the time-stamp counter; the guest does too.
        Self { ticks: unsafe { core::arch::x86_64::_rdtsc() }, ns: vdso::now(libc::CLOCK_MONOTONIC) }
    }
}

/// Where upcalls go.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Upcall {
    /// 0: nowhere yet.
    pub(crate) entry: u64,
    pub(crate) critical_start: u64,
    pub(crate) critical_end: u64,
    /// Does the guest want slices?
    pub(crate) slices: bool,
}

/// The one tender of the process.
static TENDER: AtomicPtr<Tender> = AtomicPtr::new(core::ptr::null_mut());

/// Room for the tender, so that it needs no heap.
pub(crate) struct Room(UnsafeCell<core::mem::MaybeUninit<Tender>>);

// SAFETY: used once, by `install`, in a process with one thread.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new(core::mem::MaybeUninit::uninit()));

/// Puts the tender where the gate finds it.
///
/// # Safety
/// Once a process, before the guest runs, with no other thread.
pub(crate) unsafe fn install(tender: Tender) {
    // SAFETY: this function's contract: nobody else looks at the room.
    let place = unsafe { (*ROOM.0.get()).write(tender) };
    TENDER.store(place, Ordering::Relaxed);
}

/// Where upcalls go, for the signal handlers.
pub(crate) fn upcall() -> Option<(Upcall, &'static Vcpu)> {
    let tender = TENDER.load(Ordering::Relaxed);
    if tender.is_null() {
        return None;
    }
    // SAFETY: installed for good; the handlers ask only while the guest runs, so nobody holds the tender.
    let tender = unsafe { &*tender };
    Some((tender.upcall, tender.vcpu()))
}

/// Ends the machine with a report: for the signal handlers too, whatever was interrupted.
pub(crate) fn end(status: u64, text: core::fmt::Arguments<'_>) -> ! {
    let mut report = Text { bytes: [0; 512], length: Head::LENGTH };
    report.bytes[..Head::LENGTH].copy_from_slice(&Head::new(Kind::Report).bytes());
    let _ = report.write_fmt(text);
    system::write(CONTROL, report.bytes.as_ptr(), report.length);
    system::exit(status as u8)
}

/// A gate call. The number and arguments are the guest's.
pub(crate) extern "sysv64" fn dispatch(call: u64, a: u64, b: u64, c: u64) -> i64 {
    // SAFETY: installed before the guest runs, which is the only caller; calls cannot nest, since no upcall is delivered
    // inside, so this is the only reference.
    let tender = unsafe { &mut *TENDER.load(Ordering::Relaxed) };
    let result = match Call::from_number(call) {
        Some(Call::Exit) => {
            tender.say_marks();
            system::exit(a as u8)
        }
        Some(Call::Wait) => {
            tender.wait(a);
            Ok(())
        }
        Some(Call::Kick) => tender.kick(a, b),
        Some(Call::Log) => tender.log(a, b, c),
        Some(Call::Map) => tender.map(a, b, c),
        Some(Call::Unmap) => tender.unmap(a, b),
        Some(Call::Protect) => tender.protect(a, b, c),
        Some(Call::Upcall) => tender.set_upcall(a, b, c),
        Some(Call::Slice) => {
            tender.upcall.slices = a != 0;
            Ok(())
        }
        Some(Call::StartCpu) => Err(GateError::NoResources),
        None => Err(GateError::NoSuchCall),
    };
    match result {
        Ok(()) => 0,
        Err(error) => -(error as i64),
    }
}

impl Tender {
    fn vcpu(&self) -> &'static Vcpu {
        // SAFETY: the block is mapped, zeroed at the start, for the process's life; what both sides write is atomic.
        unsafe { &*(self.layout.vcpu.start as *const Vcpu) }
    }

    /// Says how long the guest took from its entry to `main`, if somebody asked and it got there. Its marks are TSC values;
    /// the time since the tender was made gives the counter's rate.
    fn say_marks(&self) {
        let Some(start) = self.marks else { return };
        let (end, [entry, main]) = (Moment::now(), &self.vcpu().marks);
        let (entry, main) = (entry.load(Ordering::Relaxed), main.load(Ordering::Relaxed));
        let (ticks, rate) = (main.saturating_sub(entry), end.ticks.saturating_sub(start.ticks).max(1));
        let ns = u128::from(ticks) * u128::from(end.ns - start.ns) / u128::from(rate);
        let mut line = Text { bytes: [0; 512], length: 0 };
        let _ = line.write_fmt(format_args!("entry to main: {ns} ns\n"));
        system::write(2, line.bytes.as_ptr(), line.length);
    }

    fn raise(&self, bits: u64) {
        self.vcpu().events.fetch_or(bits, Ordering::Relaxed);
    }

    /// Raises the device's event if its driver wants to know; ends the machine if its rings made no sense.
    fn settle(&self, device: usize, served: Result<Served, Nonsense>) {
        match served {
            Ok(served) if served.notify => self.raise(event_bit(device)),
            Ok(_) => {}
            Err(nonsense) => end(STATUS_ABORT, format_args!("the program broke a device's protocol: {nonsense}")),
        }
    }

    fn kick(&mut self, device: u64, queue: u64) -> Result<(), GateError> {
        // Every device here has three queues.
        let queue = usize::try_from(queue).ok().filter(|queue| *queue < 3).ok_or(GateError::BadArgument)?;
        match (usize::try_from(device), &mut self.hostnet) {
            (Ok(boot::CONSOLE), _) => {
                let served = self.console.kick(queue);
                self.settle(boot::CONSOLE, served);
            }
            (Ok(boot::HOSTNET), Some(hostnet)) => {
                let served = hostnet.kick(queue, &mut self.channel);
                self.settle(boot::HOSTNET, served);
            }
            _ => return Err(GateError::BadArgument),
        }
        Ok(())
    }

    fn serve(&mut self) {
        let served = self.console.serve();
        self.settle(boot::CONSOLE, served);
        if let Some(hostnet) = &mut self.hostnet {
            let served = hostnet.serve(&mut self.channel);
            self.settle(boot::HOSTNET, served);
        }
        self.pass_on_lookups();
    }

    fn wait(&mut self, until_ns: u64) {
        self.serve();
        let timeout = self.timeout(until_ns);
        let mut events = [EpollEvent::default(); BATCH];
        let count = system::epoll_wait(EVENTS, &mut events, timeout);
        // A negative count is an interrupted call; the guest may be told too early.
        for event in events.iter().take(usize::try_from(count).unwrap_or(0)) {
            match event.token {
                TOKEN_CONTROL => self.channel.hear(),
                TOKEN_INPUT => self.console.input_event(),
                number => {
                    if let Some(hostnet) = &mut self.hostnet {
                        hostnet.event(number, event.events);
                    }
                }
            }
        }
        if count > 0 {
            self.serve();
        }
        let bits = self.channel.take_events();
        if bits != 0 {
            self.raise(bits);
        }
    }

    /// Gives the guest the answers to names that have come.
    fn pass_on_lookups(&mut self) {
        while let (Some(hostnet), Some(token)) = (&mut self.hostnet, self.channel.next_lookup()) {
            let (status, addresses) = self.channel.take_lookup(token);
            let served = hostnet.resolved(token, status, addresses);
            self.settle(boot::HOSTNET, served);
        }
    }

    /// How long to sleep, in ns; `None` for ever.
    fn timeout(&self, until_ns: u64) -> Option<u64> {
        if until_ns == WAIT_POLL || self.vcpu().events.load(Ordering::Relaxed) != 0 {
            return Some(0);
        }
        if until_ns == WAIT_FOREVER {
            return None;
        }
        let now = vdso::now(libc::CLOCK_MONOTONIC).wrapping_sub(self.monotonic_base_ns);
        Some(until_ns.saturating_sub(now))
    }

    fn log(&mut self, kind: u64, address: u64, length: u64) -> Result<(), GateError> {
        if kind == LogKind::Text as u64 {
            let length = length.min(LOG_MAX) as usize;
            let mut done = 0;
            while done < length {
                let put = system::write(2, (address as usize + done) as *const u8, length - done);
                if put == -(errno::EFAULT as isize) {
                    return Err(GateError::BadAddress);
                }
                match usize::try_from(put) {
                    Ok(put) if put > 0 => done += put,
                    _ if put == -(errno::EINTR as isize) => {}
                    _ => break, // nobody can read it
                }
            }
            return Ok(());
        }
        if kind != LogKind::Backtrace as u64 {
            return Err(GateError::BadArgument);
        }
        let bytes = length.min(BACKTRACE_MAX * 8) as usize & !7;
        // The frames lie in the running thread's memory: any of the machine's, not the arena alone.
        let end = address.checked_add(bytes as u64).ok_or(GateError::BadAddress)?;
        if address < self.layout.image.start || end > self.layout.arena.end {
            return Err(GateError::BadAddress);
        }
        // Inside the machine's reservation. Where it is inaccessible, the fault handler ends the machine.
        let base = self.layout.image.start;
        let head = Head { socket: base as u32, value: (base >> 32) as u32, ..Head::new(Kind::Backtrace) };
        self.channel.ask_about(head, address as *const u8, bytes);
        Ok(())
    }

    fn map(&mut self, address: u64, length: u64, access: u64) -> Result<(), GateError> {
        self.protect(address, length, access)
    }

    fn unmap(&mut self, address: u64, length: u64) -> Result<(), GateError> {
        self.arena(address, length)?;
        // SAFETY: pages of the arena, which only the guest uses.
        let result = unsafe { system::discard(address as usize, length as usize) };
        if result != 0 {
            return Err(GateError::NoResources);
        }
        self.protect(address, length, ACCESS_NONE)
    }

    fn protect(&mut self, address: u64, length: u64, access: u64) -> Result<(), GateError> {
        self.arena(address, length)?;
        let protection = match access {
            ACCESS_NONE => libc::PROT_NONE,
            ACCESS_READ => libc::PROT_READ,
            ACCESS_READ_WRITE => libc::PROT_READ | libc::PROT_WRITE,
            _ if access & ACCESS_EXECUTE != 0 => return Err(GateError::Sealed),
            _ => return Err(GateError::BadArgument),
        };
        // SAFETY: pages of the arena, which only the guest uses.
        let result = unsafe { system::protect(address as usize, length as usize, protection as usize) };
        if result == 0 { Ok(()) } else { Err(GateError::NoResources) }
    }

    /// Is this a range of whole pages of the arena, and of one at least?
    fn arena(&self, address: u64, length: u64) -> Result<(), GateError> {
        let arena = self.layout.arena;
        let end = address.checked_add(length).ok_or(GateError::BadAddress)?;
        let pages = length != 0 && address.is_multiple_of(PAGE_SIZE) && length.is_multiple_of(PAGE_SIZE);
        if address < arena.start && end > self.layout.image.start && address < self.layout.image.end {
            return Err(GateError::Sealed);
        }
        if pages && address >= arena.start && end <= arena.end { Ok(()) } else { Err(GateError::BadAddress) }
    }

    fn set_upcall(&mut self, entry: u64, critical_start: u64, critical_end: u64) -> Result<(), GateError> {
        let image = self.layout.image;
        if !(image.start..image.end).contains(&entry) || critical_start > critical_end {
            return Err(GateError::BadAddress);
        }
        self.upcall = Upcall { entry, critical_start, critical_end, ..self.upcall };
        Ok(())
    }
}

/// A piece of text on the stack; what does not fit is cut off.
struct Text {
    bytes: [u8; 512],
    length: usize,
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = &mut self.bytes[self.length..];
        let take = text.len().min(room.len());
        room[..take].copy_from_slice(&text.as_bytes()[..take]);
        self.length += take;
        Ok(())
    }
}

/// Is this address the machine's?
pub(crate) fn is_guest(address: u64) -> bool {
    let tender = TENDER.load(Ordering::Relaxed);
    // SAFETY: as in `upcall`; the layout never changes.
    !tender.is_null() && unsafe { ((*tender).layout.image.start..(*tender).layout.arena.end).contains(&address) }
}

/// Does the tender run, or the way in and out of it?
pub(crate) fn runs(pointer: u64) -> bool {
    gate::inside() || gate::is_stub(pointer)
}
