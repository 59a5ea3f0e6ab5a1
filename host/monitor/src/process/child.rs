//! The child: from the fork to the guest's first instruction.
//!
//! Until lock-down this is ordinary code in a copy of the tool's process; it builds the machine, then gives up everything
//! that the machine does not need, in this order: descriptors, the tool's arguments and environment (they stand on the
//! first stack, which is unmapped), and nearly all system calls.

use super::tender::Process;
use super::{gate, signals, tender};
use crate::Error;
use crate::jail;
use crate::machine::boot::{self, Far};
use crate::machine::child::{self, Plan};
use crate::machine::layout::Layout;
use crate::machine::tender::end;
use crate::machine::{filter, signals as shared_signals, vdso};
use crate::timeline::{Mark, Timeline};
use abi::PAGE_SIZE;
use abi::address::GuestAddr;
use abi::boot::{CLOCK_FUNCTION, Clock, Cpu, DEVICE_FLAG_CHEAP_KICK};
use core::arch::x86_64::{__cpuid_count, _xgetbv};
use host_device::system;

/// Bytes of the tender's own stack.
const STACK: u64 = 256 << 10;
/// How often the slice timer looks, in CPU time of the machine: the gate's shortest slice, or the host's tick where that is
/// longer. A machine that sleeps is not woken.
const SLICE_US: i64 = 1_000;

/// What lock-down still needs once the first stack is gone. Lives at the far end of the tender's stack.
struct Last {
    rules: Vec<libc::sock_filter>,
    entry: u64,
    stack: u64,
    boot: u64,
    old_stack_top: u64,
    timeline: Option<Timeline>,
    waits_for_debugger: bool,
}

/// Becomes the machine. Returns only if that failed.
pub(super) fn start(plan: Plan<'_>) -> Error {
    match build(plan) {
        // SAFETY: the stack is fresh, and nothing of this one is used any more.
        Ok((stack, last)) => unsafe { gate::move_to(stack, lock_down, Box::into_raw(last).cast()) },
        Err(error) => error,
    }
}

fn build(plan: Plan<'_>) -> Result<(u64, Box<Last>), Error> {
    jail::drop_root(false)?;
    child::die_with(plan.parent)?;
    child::descriptors(&plan)?;
    let layout = place(&plan.layout, plan.base)?;
    plan.mark(Mark::Reserved);
    let rings = plan.rings.clone().at(layout.rings);
    let far = Far { gate: gate::entry(), clock: clock(), cpu: cpu(), device_flags: DEVICE_FLAG_CHEAP_KICK };
    // SAFETY: `place` mapped it, and nothing else is there.
    unsafe { child::fill(&plan, &layout, &rings, &far)? };
    plan.mark(Mark::Filled);
    child::seal(&plan.program, &layout, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)?;
    plan.mark(Mark::Sealed);
    // SAFETY: the stretch behind the arena, reserved by `place`, used by nobody.
    unsafe { libc::munmap(layout.arena.end as *mut _, layout.arena.length() as usize) };
    let tender = child::tender(&plan, Process, layout, &rings, far.clock)?;
    // SAFETY: once, in a process with one thread, before the guest runs.
    unsafe { tender::install(tender) };
    let stacks = child::stacks(STACK)?;
    // SAFETY: mapped for good just now.
    unsafe { signals::install(stacks.signals, stacks.signals_length)? };
    plan.mark(Mark::Devices);
    child::await_verdict()?;
    plan.mark(Mark::Verdict);
    timers()?;
    let rules = filter::Rules {
        arena: layout.arena,
        network: rings.hostnet().is_some(),
        site: system::site(),
        restorer: shared_signals::restorer_site(),
        vdso: vdso::pages().map_or((0, 0), |(start, end)| (start as u64, end as u64)),
        vcpu: None,
    };
    let last = Last {
        rules: rules.assemble(),
        entry: layout.image.start + plan.program.header.entry,
        stack: layout.stack.end,
        boot: layout.boot.start,
        old_stack_top: stack_top(),
        timeline: plan.timeline,
        waits_for_debugger: plan.base.is_some(),
    };
    Ok((stacks.top, Box::new(last)))
}

/// The last steps, on the tender's own stack: everything unneeded goes, the filter comes, the guest begins.
extern "sysv64" fn lock_down(last: *mut u8) -> ! {
    // SAFETY: `start` passed a box's pointer, for us alone.
    let last = unsafe { Box::from_raw(last.cast::<Last>()) };
    let (entry, stack, boot) = (last.entry, last.stack, last.boot);
    // SAFETY: this code runs on another stack; what lies on the first one (arguments, environment, the tool's frames) is
    // not used again. The reservation below a main stack holds nothing else.
    unsafe {
        const BELOW: u64 = 64 << 20;
        libc::munmap((last.old_stack_top - BELOW) as *mut _, BELOW as usize);
        if last.waits_for_debugger {
            // Any process of this user may attach, not the tool's descendants alone (Yama's `ptrace_scope`); then it waits.
            libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        if child::lock_down(&last.rules).is_err() {
            end(abi::vcpu::STATUS_ABORT, format_args!("the kernel refuses the seccomp filter"));
        }
        last.timeline.inspect(|timeline| timeline.mark(Mark::Locked));
        gate::enter(entry, stack, boot)
    }
}

/// Maps the machine's memory at a random place. A stretch as long as the arena is kept free behind it, so that no call
/// can reach past the arena into something else.
///
/// One that was given in `base` is not given up for another: a debugger's operator was told of it.
fn place(layout: &Layout, base: Option<u64>) -> Result<Layout, Error> {
    for _ in 0..if base.is_some() { 1 } else { 16 } {
        let layout = layout.at(base.unwrap_or_else(child::random_base));
        if child::reserved(layout.image.start, layout.arena.end - layout.image.start + layout.arena.length())? {
            child::open(&layout)?;
            return Ok(layout);
        }
    }
    Err(Error::BadImage("no room for it in the address space"))
}

fn clock() -> Clock {
    let monotonic = vdso::now(libc::CLOCK_MONOTONIC);
    let wall = vdso::now(libc::CLOCK_REALTIME);
    Clock {
        kind: CLOCK_FUNCTION,
        function: GuestAddr(vdso::function()),
        monotonic_base_ns: monotonic,
        wall_base_ns: wall,
        ..Clock::default()
    }
}

fn cpu() -> Cpu {
    if !std::arch::is_x86_feature_detected!("xsave") {
        return boot::cpu(0, |part| __cpuid_count(0xd, part));
    }
    let offered = __cpuid_count(0xd, 0);
    // SAFETY: the `xsave` feature, OSXSAVE included, was just found.
    let enabled = unsafe { _xgetbv(0) };
    let mask = enabled & (u64::from(offered.edx) << 32 | u64::from(offered.eax)) & boot::XSAVE_WANTED;
    boot::cpu(mask, |part| __cpuid_count(0xd, part))
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
