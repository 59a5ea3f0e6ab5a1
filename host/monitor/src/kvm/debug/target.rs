//! What gdb may do to the machine: its registers, its memory, its breakpoints, and going on.

use super::super::descriptor::{USER_CODE, USER_DATA};
use super::super::vcpu::{Machine, OWN_FLAGS, TRAP_FLAG};
use super::line::Line;
use super::{INT3, Stop, resume, run, set_vectors, vectors, vm};
use crate::machine::tender::{PEEK_IN, PEEK_OUT};
use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt as _;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep, SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{Breakpoints, BreakpointsOps, SwBreakpoint, SwBreakpointOps};
use gdbstub::target::ext::section_offsets::{Offsets, SectionOffsets, SectionOffsetsOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use host_device::system::{self, errno};
use kvm_bindings::kvm_regs;

/// Bytes that go through the pipe at a time: no more than it holds.
const PIECE: usize = 4096;

impl Target for Machine {
    type Arch = X86_64_SSE;
    type Error = ();

    fn base_ops(&mut self) -> BaseOps<'_, X86_64_SSE, ()> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_section_offsets(&mut self) -> Option<SectionOffsetsOps<'_, Self>> {
        Some(self)
    }
}

/// The general registers, in gdb's order (gdb/features/i386/64bit-core.xml).
fn general(registers: &mut kvm_regs) -> [&mut u64; 16] {
    let r = registers;
    [
        &mut r.rax, &mut r.rbx, &mut r.rcx, &mut r.rdx, &mut r.rsi, &mut r.rdi, &mut r.rbp, &mut r.rsp, &mut r.r8,
        &mut r.r9, &mut r.r10, &mut r.r11, &mut r.r12, &mut r.r13, &mut r.r14, &mut r.r15,
    ]
}

impl SingleThreadBase for Machine {
    fn read_registers(&mut self, into: &mut X86_64CoreRegs) -> TargetResult<(), Self> {
        let registers = self.registers();
        into.regs = general(registers).map(|register| *register);
        (into.rip, into.eflags) = (registers.rip, registers.rflags as u32);
        let segments = &mut into.segments;
        (segments.cs, segments.ss) = (USER_CODE.into(), USER_DATA.into());
        (segments.ds, segments.es, segments.fs, segments.gs) =
            (USER_DATA.into(), USER_DATA.into(), USER_DATA.into(), USER_DATA.into());
        let vectors = vectors();
        into.xmm = vectors.xmm.map(u128::from_le_bytes);
        into.mxcsr = vectors.mxcsr;
        Ok(())
    }

    fn write_registers(&mut self, from: &X86_64CoreRegs) -> TargetResult<(), Self> {
        let registers = self.registers();
        general(registers).into_iter().zip(from.regs).for_each(|(to, from)| *to = from);
        registers.rip = from.rip;
        registers.rflags = u64::from(from.eflags) & (OWN_FLAGS & !TRAP_FLAG) | vm::RFLAGS;
        self.changed();
        let mut vectors = vectors();
        vectors.xmm = from.xmm.map(u128::to_le_bytes);
        vectors.mxcsr = from.mxcsr;
        set_vectors(&vectors);
        Ok(())
    }

    fn read_addrs(&mut self, address: u64, into: &mut [u8]) -> TargetResult<usize, Self> {
        let count = peek(self, address, into);
        if count == 0 && !into.is_empty() {
            return Err(TargetError::Errno(errno::EFAULT as u8));
        }
        // As if no breakpoint were there.
        for (place, byte) in self.session.iter().flat_map(|session| session.places.iter().flatten()) {
            let at = place.checked_sub(address).and_then(|at| usize::try_from(at).ok());
            if let Some(into) = at.and_then(|at| into.get_mut(at)) {
                *into = *byte;
            }
        }
        Ok(count)
    }

    fn write_addrs(&mut self, address: u64, from: &[u8]) -> TargetResult<(), Self> {
        if poke(self, address, from) { Ok(()) } else { Err(TargetError::Errno(errno::EFAULT as u8)) }
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadResume for Machine {
    fn resume(&mut self, _: Option<Signal>) -> Result<(), ()> {
        resume(self, false);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadSingleStep for Machine {
    fn step(&mut self, _: Option<Signal>) -> Result<(), ()> {
        resume(self, true);
        Ok(())
    }
}

impl Breakpoints for Machine {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Machine {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let mut byte = [0];
        let Some(free) = self.session.as_ref().and_then(|session| session.places.iter().position(Option::is_none))
        else {
            return Ok(false);
        };
        if peek(self, address, &mut byte) != 1 || !poke(self, address, &[INT3]) {
            return Ok(false);
        }
        if let Some(session) = &mut self.session {
            session.places[free] = Some((address, byte[0]));
        }
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let places = self.session.iter_mut().flat_map(|session| session.places.iter_mut());
        let found = places.into_iter().find_map(|place| place.take_if(|(at, _)| *at == address));
        Ok(found.is_some_and(|(address, byte)| poke(self, address, &[byte])))
    }
}

/// Puts everything back where breakpoints stand.
pub(super) fn remove_all(machine: &mut Machine) {
    for index in 0..super::PLACES {
        let place = machine.session.as_mut().and_then(|session| session.places[index].take());
        if let Some((address, byte)) = place {
            poke(machine, address, &[byte]);
        }
    }
}

impl SectionOffsets for Machine {
    fn get_section_offsets(&mut self) -> Result<Offsets<u64>, ()> {
        Ok(Offsets::Segments { text_seg: self.session.as_ref().map_or(0, |session| session.symbols), data_seg: None })
    }
}

/// The part of `length` bytes at a guest's address that can be the machine's own, as this process sees it.
fn own(machine: &Machine, address: u64, length: usize) -> Option<(*mut u8, usize)> {
    let (start, end) = (machine.tender.layout.image.start, machine.tender.layout.arena.end);
    let room = end.checked_sub(address).filter(|_| address >= start)?;
    Some((machine.tender.layout.host(address), length.min(usize::try_from(room).unwrap_or(usize::MAX)).min(PIECE)))
}

/// Reads memory; gives how much of it there is.
pub(super) fn peek(machine: &Machine, address: u64, into: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some((from, length)) = own(machine, address.wrapping_add(done as u64), into.len() - done) {
        let put = system::write(PEEK_IN, from, length);
        let Some(put) = usize::try_from(put).ok().filter(|put| *put > 0) else { break };
        // SAFETY: at most as much as there is room for: `length` is.
        unsafe { system::read(PEEK_OUT, into[done..].as_mut_ptr(), put) };
        done += put;
    }
    done
}

/// Writes memory; false if some of it is not there, or not to be written.
fn poke(machine: &Machine, address: u64, from: &[u8]) -> bool {
    let mut done = 0;
    while done < from.len() {
        let Some((into, length)) = own(machine, address.wrapping_add(done as u64), from.len() - done) else {
            return false;
        };
        system::write(PEEK_IN, from[done..].as_ptr(), length);
        // SAFETY: the machine's memory, checked by the kernel; the guest stands still.
        let got = unsafe { system::read(PEEK_OUT, into, length) };
        if got != length as isize {
            drain(if got > 0 { length - got as usize } else { length });
            return false;
        }
        done += length;
    }
    true
}

/// Empties the pipe of what could not be written.
fn drain(length: usize) {
    let mut waste = [0; PIECE];
    // SAFETY: the buffer is ours.
    unsafe { system::read(PEEK_OUT, waste.as_mut_ptr(), length.min(PIECE)) };
}

/// How the stub runs the machine.
pub(super) enum Events {}

impl BlockingEventLoop for Events {
    type Target = Machine;
    type Connection = Line;
    type StopReason = Stop;

    fn wait_for_stop_reason(
        machine: &mut Machine,
        line: &mut Line,
    ) -> Result<Event<Stop>, WaitForStopReasonError<(), super::line::Gone>> {
        let stop = if line.has_more() { None } else { run(machine) };
        match stop {
            Some(stop) => Ok(Event::TargetStopped(stop)),
            None => line.read().map(Event::IncomingData).map_err(WaitForStopReasonError::Connection),
        }
    }

    fn on_interrupt(_: &mut Machine) -> Result<Option<Stop>, ()> {
        Ok(Some(Stop::Signal(Signal::SIGINT)))
    }
}
