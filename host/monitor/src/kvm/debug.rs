//! gdb's remote protocol for a machine under KVM, spoken by the machine's own process.
//!
//! Nothing is asked of KVM for it. A breakpoint is `int3` in the guest's code, a step is the trap flag, and both arrive as
//! every exception does: at a stub of the far side, as an exit ([`super::descriptor`]). So the list of system calls stays
//! what it is without a debugger, but for two requests that read and set the CPU's vector registers.
//!
//! The guest's text is writable for this process then, and only then; the guest's own view of it stays sealed. Memory is
//! read and written through a pipe: the kernel copies, and says `EFAULT` where the guest has nothing.
//!
//! One thread is shown, whichever of the program's runs. While it is stepped, no slice is handed up: another thread would
//! come between. A fault stops the program before it hears of it itself; going on delivers the fault.
//!
//! Where the guest stands in the gate's own code, the `ret` that follows is carried out for it, so that what is seen is the
//! library OS and its callers.

mod line;
mod target;

use super::vcpu::{DESCRIPTOR, Machine, OWN_FLAGS, TRAP_FLAG};
use super::vm;
use crate::Error;
use crate::machine::signals::NUDGE;
use crate::machine::tender::{DEBUGGER, DEBUGGER_SET, EVENTS, PEEK_IN, PEEK_OUT, TOKEN_DEBUGGER, end};
use crate::machine::upcall::{Exception, Interrupted};
use abi::gate::Call;
use abi::vcpu::{STATUS_ABORT, STATUS_OUT_OF_MEMORY, VECTOR_INVALID_OPCODE, VECTOR_PAGE_FAULT};
use gdbstub::common::Signal;
use gdbstub::stub::{DisconnectReason, GdbStub, SingleThreadStopReason};
use host_device::system;
use kvm_bindings::kvm_fpu;
use line::Line;

/// Requests of `ioctl` for the vector registers (include/uapi/linux/kvm.h).
const KVM_GET_FPU: u32 = 0x8000_ae8c | (size_of::<kvm_fpu>() as u32) << 16;
const KVM_SET_FPU: u32 = 0x4000_ae8d | (size_of::<kvm_fpu>() as u32) << 16;
/// What a debugged machine may ask of its vCPU.
const REQUESTS: [u32; 5] = {
    let [run, get, set] = super::vcpu::REQUESTS;
    [run, get, set, KVM_GET_FPU, KVM_SET_FPU]
};

/// Which signal to send when there is something to read (fcntl(2), include/uapi/asm-generic/fcntl.h).
const F_SETSIG: i32 = 10;
/// Breakpoints at a time.
const PLACES: usize = 256;
/// `int3` (SDM 2A, "INT n").
const INT3: u8 = 0xcc;
/// Bytes of a packet, which is as much memory as gdb asks for at a time.
const PACKET: usize = 4096;
const VECTOR_DEBUG: u64 = 1;
const VECTOR_BREAKPOINT: u64 = 3;

type Stop = SingleThreadStopReason<u64>;

/// The requests that the filter lets through.
pub(super) fn requests(is_debugged: bool) -> &'static [u32] {
    if is_debugged { &REQUESTS } else { &super::vcpu::REQUESTS }
}

/// What is known of a session.
#[derive(Debug)]
pub(super) struct Session {
    /// Breakpoints: the address, and the byte that belongs there.
    places: [Option<(u64, u8)>; PLACES],
    /// Why the guest stands still, once it does.
    stop: Option<Stop>,
    /// A fault that the guest has not heard of.
    pending: Option<(Interrupted, Exception)>,
    is_stepping: bool,
    /// The last exit was a gate call.
    after_gate: bool,
    /// Where the linked program's address 0 is in the guest.
    symbols: u64,
}

impl Session {
    pub(super) fn new(symbols: u64) -> Self {
        Self { places: [None; PLACES], stop: None, pending: None, is_stepping: false, after_gate: false, symbols }
    }

    /// Is no slice to be handed up now? It would come between a step's beginning and its end, or between gdb's interrupt and
    /// what that is to find.
    pub(super) fn keeps_slices(&self) -> bool {
        self.is_stepping || line::is_readable()
    }
}

/// Makes what a session needs, before lock-down: the pipe, and that bytes from gdb end a stretch of running.
pub(super) fn set_up() -> Result<(), Error> {
    let mut pipe = [0; 2];
    // SAFETY: fills the array, and moves descriptors of this process to numbers that are kept free for them.
    let is_made = unsafe {
        libc::pipe(pipe.as_mut_ptr()) == 0
            && place(pipe[0], PEEK_OUT)
            && place(pipe[1], PEEK_IN)
            && place(libc::epoll_create1(0), DEBUGGER_SET)
            && libc::fcntl(DEBUGGER, libc::F_SETOWN, libc::getpid()) == 0
            && libc::fcntl(DEBUGGER, F_SETSIG, NUDGE) == 0
            && libc::fcntl(DEBUGGER, libc::F_SETFL, libc::O_ASYNC) == 0
    };
    // The set that the guest's waits end by hears of news alone: once gdb has gone, the connection is readable for ever.
    let news = system::EPOLL_IN | system::EPOLL_EDGE;
    let is_watched = || {
        [(DEBUGGER_SET, system::EPOLL_IN), (EVENTS, news)]
            .iter()
            .all(|(set, events)| system::epoll_add(*set, DEBUGGER, *events, TOKEN_DEBUGGER) == 0)
    };
    if is_made && is_watched() { Ok(()) } else { Err(Error::last("set the debugger's connection up")) }
}

/// Gives a descriptor its number.
///
/// # Safety
/// Nobody uses either number for anything else.
unsafe fn place(descriptor: i32, number: i32) -> bool {
    // SAFETY: this function's contract.
    descriptor == number || unsafe { libc::dup2(descriptor, number) == number && libc::close(descriptor) == 0 }
}

/// Serves gdb, and runs the guest as it says, until it lets go or the program ends.
pub(super) fn serve(machine: &mut Machine) {
    let mut packet = [0; PACKET];
    let Ok(stub) = GdbStub::builder(Line::default()).with_packet_buffer(&mut packet).build() else {
        end(STATUS_ABORT, format_args!("the debugger's connection has no buffer: a bug in Ampoule"))
    };
    let reason = stub.run_blocking::<target::Events>(machine);
    match reason {
        Ok(DisconnectReason::TargetExited(status)) => system::exit(status),
        Ok(DisconnectReason::Kill) => end(STATUS_OUT_OF_MEMORY, format_args!("its debugger killed it")),
        // Detached; or gdb has gone, which is taken for the same.
        _ => release(machine),
    }
}

/// Leaves the guest as if there had never been a debugger.
fn release(machine: &mut Machine) {
    target::remove_all(machine);
    resume(machine, false);
    machine.session = None;
}

/// Is this gate call the program's end? Then it waits until gdb has been told.
pub(super) fn is_end(machine: &mut Machine, call: u64, status: u64) -> bool {
    let Some(session) = &mut machine.session else { return false };
    session.after_gate = true;
    let is_end = Call::from_number(call) == Some(Call::Exit);
    if is_end {
        session.stop = Some(Stop::Exited(status as u8));
    }
    is_end
}

/// An exception under a debugger: true if it is for that, and not for the guest now.
pub(super) fn takes(machine: &mut Machine, at: &Interrupted, exception: &Exception) -> bool {
    let Some(session) = &mut machine.session else { return false };
    let (mut rip, mut stop) = (at.rip, Stop::Signal(signal(exception.vector)));
    let is_placed = |address: u64| session.places.iter().flatten().any(|(place, _)| *place == address);
    match exception.vector {
        VECTOR_BREAKPOINT if is_placed(rip.wrapping_sub(1)) => (rip, stop) = (rip - 1, Stop::SwBreak(())),
        VECTOR_DEBUG => stop = Stop::DoneStep,
        _ => session.pending = Some((*at, *exception)),
    }
    session.stop = Some(stop);
    let registers = machine.registers();
    registers.rip = rip;
    registers.rsp = at.rsp;
    registers.rflags = at.rflags & OWN_FLAGS | vm::RFLAGS;
    machine.changed();
    true
}

/// The signal that an exception is on Linux.
fn signal(vector: u64) -> Signal {
    match vector {
        0 | 16 | 19 => Signal::SIGFPE,
        VECTOR_DEBUG | VECTOR_BREAKPOINT => Signal::SIGTRAP,
        VECTOR_INVALID_OPCODE => Signal::SIGILL,
        17 => Signal::SIGBUS,
        VECTOR_PAGE_FAULT => Signal::SIGSEGV,
        _ => Signal::SIGSEGV,
    }
}

/// The guest is to go on: for one instruction only, with `step`.
fn resume(machine: &mut Machine, step: bool) {
    let Some(session) = &mut machine.session else { return };
    session.is_stepping = step;
    session.stop = None;
    let pending = session.pending.take();
    if let Some((at, exception)) = pending {
        // It goes on in its handler.
        machine.fault(at, exception);
    }
    let registers = machine.registers();
    registers.rflags = registers.rflags & !TRAP_FLAG | if step { TRAP_FLAG } else { 0 };
    machine.changed();
}

/// Runs the guest until there is a reason to stop, or gdb says something; `None` is the latter.
fn run(machine: &mut Machine) -> Option<Stop> {
    loop {
        if let Some(session) = &mut machine.session {
            session.after_gate = false;
        }
        machine.go();
        let rip = machine.registers().rip;
        let is_gate = (machine.far.gate()..machine.far.gate() + 3).contains(&rip);
        let Some(session) = &mut machine.session else { return None };
        if session.stop.is_none() && session.after_gate && session.is_stepping {
            session.stop = Some(Stop::DoneStep);
        }
        if let Some(stop) = session.stop {
            session.is_stepping = false;
            // An end keeps its place: the call is still to be made.
            if !matches!(stop, Stop::Exited(_)) {
                settle(machine);
            }
            return Some(stop);
        }
        // On its way to an exit it is between two states.
        let can_stop = session.after_gate || !(is_gate || machine.far.is_stub(rip));
        if can_stop && line::is_readable() {
            settle(machine);
            return None;
        }
    }
}

/// Takes the guest out of the gate's code, if that is where the last exit left it, and the trap flag out of its flags.
fn settle(machine: &mut Machine) {
    let gate = machine.far.gate();
    let is_after_gate = machine.session.as_ref().is_some_and(|session| session.after_gate);
    let registers = *machine.registers();
    let mut back = [0; 8];
    // KVM steps over the `out` before the exit or after it, as it likes.
    if is_after_gate
        && (gate..gate + 3).contains(&registers.rip)
        && target::peek(machine, registers.rsp, &mut back) == back.len()
    {
        let registers = machine.registers();
        registers.rip = u64::from_le_bytes(back);
        registers.rsp += 8;
    }
    machine.registers().rflags &= !TRAP_FLAG;
    machine.changed();
}

/// The vector registers; all zero where KVM does not give them.
fn vectors() -> kvm_fpu {
    let mut vectors = kvm_fpu::default();
    // SAFETY: the request fills the structure.
    unsafe { system::ioctl(DESCRIPTOR, KVM_GET_FPU, &raw mut vectors as usize) };
    vectors
}

fn set_vectors(vectors: &kvm_fpu) {
    // SAFETY: the request reads the structure.
    unsafe { system::ioctl(DESCRIPTOR, KVM_SET_FPU, std::ptr::from_ref(vectors) as usize) };
}
