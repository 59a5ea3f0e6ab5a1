//! The far side of the gate, inside the locked-down child, as far as it is the same for both backends.
//!
//! Everything here runs with the guest stopped, without allocating: after lock-down the process can get no more memory.
//! [`Tender::dispatch`] is the only way in. What the backends do in their own ways stands behind [`Platform`].

use super::boot;
use super::channel::Channel;
use super::layout::Layout;
use super::message::{Head, Kind};
use super::rings::{CONSOLE_QUEUES, FRAMES_QUEUES, HOSTNET_QUEUES};
use super::upcall::Upcall;
use super::vdso;
use crate::counters::{Counters, Page};
use crate::timeline::{Mark, Timeline};
use abi::PAGE_SIZE;
use abi::boot::{CLOCK_TSC, Clock};
use abi::gate::{
    ACCESS_EXECUTE, ACCESS_NONE, ACCESS_READ, ACCESS_READ_WRITE, BACKTRACE_MAX, Call, GateError, LOG_MAX, LogKind,
    WAIT_FOREVER, WAIT_POLL,
};
use abi::vcpu::{STATUS_ABORT, Vcpu, event_bit};
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU64, Ordering};
use host_device::console::Console;
use host_device::hostnet::Hostnet;
use host_device::net::Net;
use host_device::system::{self, EpollEvent, errno};
use host_device::text::Text;
use host_device::{Nonsense, Served, Traffic};

/// The child's descriptors besides 0, 1 and 2.
pub(crate) const CONTROL: i32 = 3;
pub(crate) const EVENTS: i32 = 4;
pub(crate) const INPUT_SET: i32 = 5;
pub(crate) const CONTROL_SET: i32 = 6;
/// Only where the machine is connected by frames.
pub(crate) const INTERFACE: i32 = 7;
/// Only where what goes over the network is written down: the file.
pub(crate) const CAPTURE: i32 = 8;
/// Only with a debugger: the connection to it, a set that holds that alone, and both ends of a pipe.
pub(crate) const DEBUGGER: i32 = 9;
pub(crate) const DEBUGGER_SET: i32 = 10;
pub(crate) const PEEK_OUT: i32 = 11;
pub(crate) const PEEK_IN: i32 = 12;
/// Only where the program's calls are told of: where to.
pub(crate) const TRACE: i32 = 13;
/// The last of them.
pub(crate) const LAST: i32 = TRACE;

/// Tokens in the epoll set. Sockets have their own numbers, which start above.
pub(crate) const TOKEN_CONTROL: u64 = 1 << 32;
pub(crate) const TOKEN_INPUT: u64 = 1 << 33;
pub(crate) const TOKEN_FRAMES: u64 = 1 << 34;
pub(crate) const TOKEN_DEBUGGER: u64 = 1 << 35;

/// How many epoll events one wait takes.
const BATCH: usize = 128;

/// What the backends do in their own ways.
pub(crate) trait Platform {
    /// The guest's own view of whole pages of its arena is to allow what `access` says (one of `ACCESS_*`). The child's
    /// view has been changed already.
    fn set_access(&mut self, address: u64, length: u64, access: u64);

    /// The guest wants slices this often (ns), or (0) no more.
    fn set_slices(&mut self, every_ns: u64);

    /// How often the guest came out to the monitor, where that is an event of its own.
    fn exits(&self) -> Option<u64> {
        None
    }
}

/// The far side of the gate.
#[derive(Debug)]
pub(crate) struct Tender<P> {
    pub(crate) platform: P,
    pub(crate) layout: Layout,
    pub(crate) console: Console,
    /// The guest's clock, as this side reads it.
    pub(crate) clock: Clock,
    pub(crate) upcall: Upcall,
    pub(crate) channel: Channel,
    pub(crate) hostnet: Option<Hostnet>,
    pub(crate) frames: Option<Net>,
    /// Where somebody wants to know what the machine does.
    pub(crate) counters: Option<&'static Page>,
    /// Gate calls so far, and those among them that waited.
    pub(crate) calls: u64,
    pub(crate) waits: u64,
    /// Where to note how far the machine has come.
    pub(crate) timeline: Option<Timeline>,
    /// Somebody wants to know how long the guest takes to `main`, and how often it came out.
    pub(crate) says_marks: bool,
    /// Somebody wants to know what the program asks of its OS, and can still be told.
    pub(crate) traces: bool,
    /// When this was made, before the guest's first instruction.
    pub(crate) made: Moment,
}

/// What the wall clock may be wrong by before it is set, ns: two clocks cannot be read at once, and a clock that is set all
/// the time goes back all the time.
const WALL_TOLERANCE_NS: u64 = 1_000_000;

/// Sets what the guest was `told` to `base`, if that is another time; `first` is what the boot information says.
fn follow(told: &AtomicU64, first: u64, base: u64) {
    let known = match told.load(Ordering::Relaxed) {
        0 => first,
        known => known,
    };
    if known.abs_diff(base) > WALL_TOLERANCE_NS {
        told.store(base, Ordering::Relaxed);
    }
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

/// Ends the machine with a report: for the signal handlers too, whatever was interrupted.
pub(crate) fn end(status: u64, text: core::fmt::Arguments<'_>) -> ! {
    let mut report = Text { bytes: [0; 512], length: Head::LENGTH };
    report.bytes[..Head::LENGTH].copy_from_slice(&Head::new(Kind::Report).bytes());
    let _ = report.write_fmt(text);
    system::write(CONTROL, report.bytes.as_ptr(), report.length);
    system::exit(status as u8)
}

impl<P: Platform> Tender<P> {
    /// A gate call. The number and arguments are the guest's.
    pub(crate) fn dispatch(&mut self, call: u64, a: u64, b: u64, c: u64) -> i64 {
        self.calls += 1;
        let result = match Call::from_number(call) {
            Some(Call::Exit) => {
                self.note();
                self.say_marks();
                system::exit(a as u8)
            }
            Some(Call::Wait) => {
                self.wait(a);
                Ok(())
            }
            Some(Call::Kick) => self.kick(a, b),
            Some(Call::Log) => self.log(a, b, c),
            Some(Call::Map) => self.map(a, b, c),
            Some(Call::Unmap) => self.unmap(a, b),
            Some(Call::Protect) => self.protect(a, b, c),
            Some(Call::Upcall) => self.set_upcall(a, b, c),
            Some(Call::Slice) => {
                self.upcall.slices = a != 0;
                self.platform.set_slices(a);
                Ok(())
            }
            Some(Call::StartCpu) => Err(GateError::NoResources),
            None => Err(GateError::NoSuchCall),
        };
        self.count();
        self.note();
        match result {
            Ok(()) => 0,
            Err(error) => -(error as i64),
        }
    }

    /// Brings the counters that others see up to date.
    pub(crate) fn count(&self) {
        if let Some(page) = self.counters {
            let counters = Counters {
                calls: self.calls,
                waits: self.waits,
                exits: self.platform.exits().unwrap_or(0),
                traffic: self.traffic(),
            };
            counters.store(page);
        }
    }

    /// The vCPU block.
    pub(crate) fn vcpu(&self) -> &'static Vcpu {
        // SAFETY: the block is mapped, zeroed at the start, for the process's life; what both sides write is atomic.
        unsafe { &*self.layout.host(self.layout.vcpu.start).cast::<Vcpu>() }
    }

    /// Says how long the guest took from its entry to `main`, and how often it came out, if somebody asked and it got there.
    /// Its marks are TSC values; the time since the tender was made gives the counter's rate.
    fn say_marks(&self) {
        if !self.says_marks {
            return;
        }
        let [entry, main] = self.marks();
        let ns = main.saturating_sub(entry);
        let mut line = Text::<512>::NEW;
        let _ = line.write_fmt(format_args!("entry to main: {ns} ns\n"));
        if let Some(exits) = self.platform.exits() {
            let _ = line.write_fmt(format_args!("exits: {exits}\n"));
        }
        system::write(2, line.bytes.as_ptr(), line.length);
    }

    /// When the guest was entered and came to `main`, in ns of the host's monotonic clock; 0 where it did not yet.
    fn marks(&self) -> [u64; 2] {
        let (start, now) = (self.made, Moment::now());
        let (ticks, ns) = (now.ticks.saturating_sub(start.ticks).max(1), now.ns.saturating_sub(start.ns));
        let when = |mark: u64| {
            let since = mark.saturating_sub(start.ticks).min(ticks);
            start.ns + (u128::from(since) * u128::from(ns) / u128::from(ticks)) as u64
        };
        self.vcpu()
            .marks
            .each_ref()
            .map(|mark| mark.load(Ordering::Relaxed))
            .map(|mark| if mark == 0 { 0 } else { when(mark) })
    }

    /// Notes what can be seen from here of how far the program has come.
    fn note(&self) {
        let Some(timeline) = self.timeline else { return };
        if !timeline.is_marked(Mark::Main) {
            let [entry, main] = self.marks();
            if entry != 0 && main != 0 {
                timeline.mark_at(Mark::Entry, entry);
                timeline.mark_at(Mark::Main, main);
            }
        }
        let traffic = self.traffic();
        for (mark, is_so) in [
            (Mark::Output, self.console.has_written()),
            (Mark::Request, traffic.received > 0),
            (Mark::Answer, traffic.sent > 0),
        ] {
            if is_so && !timeline.is_marked(mark) {
                timeline.mark(mark);
            }
        }
    }

    fn traffic(&self) -> Traffic {
        let (hostnet, frames) = (self.hostnet.as_ref().map(Hostnet::traffic), self.frames.as_ref().map(Net::traffic));
        hostnet.or(frames).unwrap_or_default()
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
        let queue = usize::try_from(queue).map_err(|_| GateError::BadArgument)?;
        match (usize::try_from(device), &mut self.hostnet, &mut self.frames) {
            (Ok(boot::CONSOLE), _, _) if queue < CONSOLE_QUEUES => {
                let served = self.console.kick(queue);
                self.settle(boot::CONSOLE, served);
            }
            (Ok(boot::NETWORK), Some(hostnet), _) if queue < HOSTNET_QUEUES => {
                let served = hostnet.kick(queue, &mut self.channel);
                self.settle(boot::NETWORK, served);
            }
            (Ok(boot::NETWORK), _, Some(frames)) if queue < FRAMES_QUEUES => {
                let served = frames.kick(queue);
                self.settle(boot::NETWORK, served);
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
            self.settle(boot::NETWORK, served);
        }
        if let Some(frames) = &mut self.frames {
            let served = frames.serve();
            self.settle(boot::NETWORK, served);
        }
        self.pass_on_lookups();
    }

    /// Hears what the parent has said, and tells the guest. For a guest that does not wait: one that waits hears it there.
    pub(crate) fn hear_parent(&mut self) {
        self.channel.hear();
        self.raise_heard();
    }

    fn raise_heard(&mut self) {
        let bits = self.channel.take_events();
        if bits != 0 {
            self.raise(bits);
        }
    }

    fn wait(&mut self, until_ns: u64) {
        self.waits += 1;
        self.serve();
        self.count();
        self.note();
        let timeout = self.timeout(until_ns);
        let mut events = [EpollEvent::default(); BATCH];
        let count = system::epoll_wait(EVENTS, &mut events, timeout);
        // A negative count is an interrupted call; the guest may be told too early.
        for event in events.iter().take(usize::try_from(count).unwrap_or(0)) {
            match event.token {
                TOKEN_CONTROL => self.channel.hear(),
                TOKEN_INPUT => self.console.input_event(),
                TOKEN_FRAMES => self.frames.iter_mut().for_each(Net::event),
                // Who runs the guest looks, as soon as this call is over.
                TOKEN_DEBUGGER => {}
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
        if until_ns != WAIT_POLL {
            self.tell_wall();
        }
        self.raise_heard();
    }

    /// Has the guest's wall clock follow the host's, which may have been set or have run at another rate than the counter
    /// that the guest reads. A guest that has a function for it asks by itself.
    pub(crate) fn tell_wall(&self) {
        if self.clock.kind == CLOCK_TSC {
            let base = vdso::now(libc::CLOCK_REALTIME).wrapping_sub(now_ns(&self.clock));
            follow(&self.vcpu().wall_base_ns, self.clock.wall_base_ns, base);
        }
    }

    /// Gives the guest the answers to names that have come.
    fn pass_on_lookups(&mut self) {
        while let (Some(hostnet), Some(token)) = (&mut self.hostnet, self.channel.next_lookup()) {
            let (status, addresses) = self.channel.take_lookup(token);
            let served = hostnet.resolved(token, status, addresses);
            self.settle(boot::NETWORK, served);
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
        Some(until_ns.saturating_sub(now_ns(&self.clock)))
    }

    /// The end of a range of the machine's memory, checked. What the range holds may still be inaccessible.
    fn end_of(&self, address: u64, length: u64) -> Result<u64, GateError> {
        let end = address.checked_add(length).filter(|end| *end <= self.layout.arena.end);
        end.filter(|_| address >= self.layout.image.start).ok_or(GateError::BadAddress)
    }

    fn log(&mut self, kind: u64, address: u64, length: u64) -> Result<(), GateError> {
        if kind == LogKind::Text as u64 {
            let length = length.min(LOG_MAX);
            self.end_of(address, length)?;
            return write_text(2, self.layout.host(address), length as usize).map(drop);
        }
        // Of a machine that nobody traces, it makes no sense.
        if self.traces && kind == LogKind::Trace as u64 {
            let length = length.min(LOG_MAX);
            self.end_of(address, length)?;
            return self.trace(self.layout.host(address), length as usize);
        }
        if kind != LogKind::Backtrace as u64 {
            return Err(GateError::BadArgument);
        }
        let bytes = length.min(BACKTRACE_MAX * 8) & !7;
        // The frames lie in the running thread's memory: any of the machine's, not the arena alone. Where it is
        // inaccessible, the fault handler ends the machine.
        self.end_of(address, bytes)?;
        let base = self.layout.image.start;
        let head = Head { socket: base as u32, value: (base >> 32) as u32, ..Head::new(Kind::Backtrace) };
        self.channel.ask_about(head, self.layout.host(address), bytes as usize);
        Ok(())
    }

    /// Passes lines of a trace on. Where they cannot be written any more, that is said once, and the machine goes on.
    fn trace(&mut self, from: *const u8, length: usize) -> Result<(), GateError> {
        if let Some(error) = write_text(TRACE, from, length)? {
            self.traces = false;
            let mut line = Text::<512>::NEW;
            let _ = line.write_fmt(format_args!("ampoule: the trace ends here, it cannot be written: error {error}\n"));
            system::write(2, line.bytes.as_ptr(), line.length);
        }
        Ok(())
    }

    fn map(&mut self, address: u64, length: u64, access: u64) -> Result<(), GateError> {
        self.protect(address, length, access)
    }

    fn unmap(&mut self, address: u64, length: u64) -> Result<(), GateError> {
        self.arena(address, length)?;
        // SAFETY: pages of the arena, which only the guest uses.
        let result = unsafe { system::discard(self.layout.host(address) as usize, length as usize) };
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
        let host = self.layout.host(address) as usize;
        // SAFETY: pages of the arena, which only the guest uses.
        let result = unsafe { system::protect(host, length as usize, protection as usize) };
        if result != 0 {
            return Err(GateError::NoResources);
        }
        self.platform.set_access(address, length, access);
        Ok(())
    }

    /// Is this a range of whole pages of the arena?
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

/// Writes text of the guest's to a descriptor. Gives the error if it cannot be written, to the end at least.
fn write_text(descriptor: i32, from: *const u8, length: usize) -> Result<Option<i32>, GateError> {
    let mut done = 0;
    while done < length {
        let put = system::write(descriptor, from.wrapping_add(done), length - done);
        if put == -(errno::EFAULT as isize) {
            return Err(GateError::BadAddress);
        }
        match usize::try_from(put) {
            Ok(put) if put > 0 => done += put,
            _ if put == -(errno::EINTR as isize) => {}
            _ => return Ok(Some(-(put as i32))),
        }
    }
    Ok(None)
}

/// What a clock of the boot information says. Under KVM its base is in the host's ticks here.
pub(crate) fn now_ns(clock: &Clock) -> u64 {
    if clock.kind == CLOCK_TSC {
        // SAFETY: ring 3 may read the time-stamp counter; the guest does too.
        let ticks = unsafe { core::arch::x86_64::_rdtsc() }.saturating_sub(clock.tsc_base);
        return ((u128::from(ticks) * u128::from(clock.multiplier)) >> 32) as u64;
    }
    vdso::now(libc::CLOCK_MONOTONIC).wrapping_sub(clock.monotonic_base_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_follows_steps_and_no_noise() {
        let (told, first) = (AtomicU64::new(0), 1_700_000_000_000_000_000);
        let after = |base| (follow(&told, first, base), told.load(Ordering::Relaxed)).1;
        assert_eq!(after(first + 900_000), 0, "within the tolerance");
        assert_eq!(after(first + 3_600_000_000_000), first + 3_600_000_000_000, "an hour on");
        assert_eq!(after(first + 3_600_000_000_000 - 1_000), first + 3_600_000_000_000, "noise");
        assert_eq!(after(first - 86_400_000_000_000), first - 86_400_000_000_000, "a day back");
    }
}
