//! Runs the vCPU, and answers its exits: gate calls, exceptions, and what no machine should do.
//!
//! One thread does everything: it runs the guest, and while the guest stands still it serves the devices. The registers
//! are in the page that is shared with KVM (`KVM_SYNC_X86_REGS`), so an answer costs no further call.

use super::debug::{self, Session};
use super::descriptor::{
    EXCEPTIONS, Far, PORT_EXCEPTION, PORT_GATE, PORT_SYSCALL, USER_CODE, USER_DATA, has_error_code,
};
use super::paging::{Flags, Full, Tables};
use super::{signals, vm};
use crate::machine::layout::Span;
use crate::machine::tender::{LAST, Platform, Tender, end};
use crate::machine::upcall::{Exception, Interrupted};
use abi::vcpu::{STATUS_ABORT, STATUS_FAULT, STATUS_OUT_OF_MEMORY, VECTOR_INVALID_OPCODE, VECTOR_PAGE_FAULT};
use core::sync::atomic::{AtomicU8, Ordering};
use host_device::system::{self, errno};
use kvm_bindings::{
    KVM_EXIT_FAIL_ENTRY, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_INTR, KVM_EXIT_IO, KVM_EXIT_IO_OUT, KVM_EXIT_MMIO,
    KVM_EXIT_SHUTDOWN, KVM_SYNC_X86_REGS, kvm_regs, kvm_run, kvm_sregs,
};

/// The vCPU's descriptor.
pub(super) const DESCRIPTOR: i32 = LAST + 1;

// Requests of `ioctl` (include/uapi/linux/kvm.h).
const KVM_RUN: u32 = 0xae80;
const KVM_GET_SREGS: u32 = 0x8000_ae83 | (size_of::<kvm_sregs>() as u32) << 16;
const KVM_SET_SREGS: u32 = 0x4000_ae84 | (size_of::<kvm_sregs>() as u32) << 16;
/// Those that the filter lets through.
pub(super) const REQUESTS: [u32; 3] = [KVM_RUN, KVM_GET_SREGS, KVM_SET_SREGS];

/// The shortest slice, in microseconds of CPU time: the gate's bound. The kernel's tick makes longer ones of them.
const SHORTEST_US: u32 = 1_000;
/// The slices until the guest says what it wants.
const FIRST_US: u32 = 10_000;
/// While the guest wants no slices, somebody looks this often all the same, in microseconds of CPU time: a CPU on which an
/// exception's one way out faults again would otherwise spin unnoticed. A machine that sleeps is not woken.
const WATCH_US: u32 = 1_000_000;
/// So much CPU time in a row may find the guest on its way to an exit, in microseconds.
const STUCK_MAX_US: u32 = 2 * WATCH_US;
/// The flags that a guest may have at its own will: arithmetic, direction, alignment check, identification (SDM 1
/// §3.4.3). Whatever an exception's frame says, ring 3 gets no I/O privilege by it.
pub(super) const OWN_FLAGS: u64 = 0x24_0cd5;
/// The trap flag: an upcall is not single-stepped.
pub(super) const TRAP_FLAG: u64 = 1 << 8;

/// The guest's view of its pages, and the timer.
#[derive(Debug)]
pub(super) struct Kvm {
    pub(super) tables: Tables,
    /// The task state's type. KVM says "busy" whatever it was given.
    pub(super) task_type: u8,
    /// The timer's period, in microseconds.
    pub(super) period_us: u32,
    /// How often the guest came out of `KVM_RUN`, for whatever reason.
    pub(super) exits: u64,
}

impl Platform for Kvm {
    fn set_access(&mut self, address: u64, length: u64, access: u64) {
        let span = Span { start: address, end: address + length };
        if let Err(Full) = self.tables.change(span, Flags::of_access(access)) {
            end(STATUS_ABORT, format_args!("there is no room for page tables: a bug in Ampoule"));
        }
        if let Some(top) = self.tables.renewed() {
            let mut registers = system_registers();
            registers.cr3 = top;
            registers.tr.type_ = self.task_type;
            // SAFETY: the request reads the structure.
            let result = unsafe { system::ioctl(DESCRIPTOR, KVM_SET_SREGS, &raw const registers as usize) };
            if result != 0 {
                end(STATUS_ABORT, format_args!("KVM does not take new page tables (error {})", -result));
            }
        }
    }

    fn set_slices(&mut self, every_ns: u64) {
        let wanted_us = u32::try_from(every_ns / 1_000).unwrap_or(WATCH_US);
        self.period_us = if every_ns == 0 { WATCH_US } else { wanted_us.clamp(SHORTEST_US, WATCH_US) };
        system::set_timer(signals::TIMER, self.period_us);
    }

    fn exits(&self) -> Option<u64> {
        Some(self.exits)
    }
}

pub(super) fn system_registers() -> kvm_sregs {
    let mut registers = kvm_sregs::default();
    // SAFETY: the request fills the structure.
    let result = unsafe { system::ioctl(DESCRIPTOR, KVM_GET_SREGS, &raw mut registers as usize) };
    if result != 0 {
        end(STATUS_ABORT, format_args!("KVM does not give the system registers (error {})", -result));
    }
    registers
}

/// A machine that is ready to run.
pub(super) struct Machine {
    pub(super) tender: Tender<Kvm>,
    pub(super) far: Far,
    run: *mut kvm_run,
    /// What the signals asked for and the guest has not got.
    wanted: u8,
    /// Has the guest come out once?
    started: bool,
    /// CPU time in a row that found the guest on its way to an exit, in microseconds.
    stuck_us: u32,
    /// With a debugger.
    pub(super) session: Option<Session>,
}

impl Machine {
    /// `symbols`: with a debugger, where the linked program's address 0 is in the guest.
    ///
    /// # Safety
    /// `run` is the vCPU's page and stays mapped; the tender's layout has the far side's pages.
    pub(super) unsafe fn new(tender: Tender<Kvm>, far: Far, run: *mut kvm_run, symbols: Option<u64>) -> Self {
        let session = symbols.map(Session::new);
        Self { tender, far, run, wanted: 0, started: false, stuck_us: 0, session }
    }

    /// Runs it to its end.
    pub(super) fn run(mut self) -> ! {
        // Until the guest has come out once: a CPU on which it cannot would otherwise spin unnoticed.
        self.tender.platform.set_slices(u64::from(FIRST_US) * 1_000);
        if self.session.is_some() {
            debug::serve(&mut self);
        }
        loop {
            self.go();
        }
    }

    /// Lets the guest go on until it comes out, and deals with what it came for.
    pub(super) fn go(&mut self) {
        // SAFETY: the request takes no argument.
        let result = unsafe { system::ioctl(DESCRIPTOR, KVM_RUN, 0) };
        self.tender.platform.exits += 1;
        match i32::try_from(-result).unwrap_or(errno::EINVAL) {
            0 => self.exit(),
            errno::EINTR => self.interrupted(),
            error => self.cannot_run(error),
        }
    }

    pub(super) fn registers(&mut self) -> &mut kvm_regs {
        // SAFETY: the page is mapped, and KVM touches it only inside `KVM_RUN`.
        unsafe { &mut (*self.run).s.regs.regs }
    }

    /// Has KVM take the registers when the guest goes on.
    pub(super) fn changed(&mut self) {
        // SAFETY: as in `registers`.
        unsafe { (*self.run).kvm_dirty_regs = KVM_SYNC_X86_REGS.into() };
    }

    fn exit(&mut self) {
        self.stuck_us = 0;
        if !self.started {
            self.started = true;
            // Unless the guest came out to say what it wants.
            if !self.tender.upcall.slices {
                self.tender.platform.set_slices(0);
            }
        }
        // SAFETY: as in `registers`.
        let reason = unsafe { (*self.run).exit_reason };
        match reason {
            KVM_EXIT_IO => self.port(),
            KVM_EXIT_INTR => {}
            _ => self.unexpected(reason),
        }
    }

    fn port(&mut self) {
        // SAFETY: the exit's reason says that this part of the union counts.
        let io = unsafe { (*self.run).__bindgen_anon_1.io };
        let is_plain = u32::from(io.direction) == KVM_EXIT_IO_OUT && io.size == 1 && io.count == 1;
        let rip = self.registers().rip;
        let exceptions = PORT_EXCEPTION..PORT_EXCEPTION + EXCEPTIONS;
        match io.port {
            PORT_GATE if is_plain => self.gate(),
            PORT_SYSCALL if is_plain && self.far.is_stub(rip) => self.system_call(),
            port if is_plain && exceptions.contains(&port) && self.far.is_stub(rip) => {
                self.exception(port - PORT_EXCEPTION);
            }
            port => {
                let what = if u32::from(io.direction) == KVM_EXIT_IO_OUT { "wrote to" } else { "read from" };
                let at = rip.wrapping_sub(self.tender.layout.image.start);
                end(
                    STATUS_FAULT,
                    format_args!("the program {what} port {port:#x}, which is not its own, at image+{at:#x}"),
                );
            }
        }
    }

    fn gate(&mut self) {
        let registers = self.registers();
        let (call, a, b, c) = (registers.rdi, registers.rsi, registers.rdx, registers.rcx);
        if self.session.is_some() && debug::is_end(self, call, a) {
            return;
        }
        let result = self.tender.dispatch(call, a, b, c);
        self.registers().rax = result as u64;
        self.changed();
    }

    /// An exception: what the CPU pushed is on the far side's stack page (SDM 3A §6.14.2).
    fn exception(&mut self, vector: u16) {
        let top = self.tender.layout.host(self.far.stack.end).cast::<u64>();
        // SAFETY: the page is mapped and aligned; the guest stands still.
        let word = |below: usize| unsafe { top.sub(below).read_volatile() };
        let at = Interrupted { rip: word(5), rflags: word(3), rsp: word(2), ..Interrupted::default() };
        let error = if has_error_code(vector) { word(6) } else { 0 };
        let vector = u64::from(vector);
        let address = if vector == VECTOR_PAGE_FAULT { system_registers().cr2 } else { 0 };
        let exception = Exception { vector, error, address };
        if self.session.is_some() && debug::takes(self, &at, &exception) {
            return;
        }
        self.fault(at, exception);
    }

    /// A `syscall` instruction, where KVM lets it through: the CPU put the way back into rcx, the flags into r11. The guest
    /// is to see what happens everywhere else, an invalid opcode.
    fn system_call(&mut self) {
        let registers = self.registers();
        let at = Interrupted {
            rip: registers.rcx.wrapping_sub(2),
            rflags: registers.r11,
            rsp: registers.rsp,
            ..Interrupted::default()
        };
        self.fault(at, Exception { vector: VECTOR_INVALID_OPCODE, ..Exception::default() });
    }

    pub(super) fn fault(&mut self, at: Interrupted, exception: Exception) {
        let at = Interrupted { cs: USER_CODE.into(), ss: USER_DATA.into(), ..at };
        let upcall = self.tender.upcall;
        upcall.fault(self.tender.vcpu(), &at, &exception);
        let registers = self.registers();
        registers.rip = upcall.entry;
        registers.rsp = at.rsp;
        registers.rflags = at.rflags & OWN_FLAGS | vm::RFLAGS;
        self.changed();
        self.offer();
    }

    /// The signals' wishes.
    fn interrupted(&mut self) {
        // SAFETY: as in `registers`; the signals' handlers write the byte too.
        unsafe { AtomicU8::from_ptr(&raw mut (*self.run).immediate_exit) }.store(0, Ordering::Relaxed);
        let came = signals::take();
        self.wanted |= came;
        if came & signals::LOOK != 0 {
            self.tender.hear_parent();
        }
        let rip = self.registers().rip;
        if came & signals::TICK != 0 && self.far.is_stub(rip) {
            self.watch();
        }
        self.tender.count();
        self.tender.tell_wall();
        self.offer();
    }

    /// A tick found the guest on its way to an exit, which takes one instruction.
    fn watch(&mut self) {
        self.stuck_us = self.stuck_us.saturating_add(self.tender.platform.period_us);
        if self.stuck_us > STUCK_MAX_US {
            end(STATUS_ABORT, format_args!("this computer's KVM does not let ring 3 write to a port"));
        }
    }

    /// Hands a slice up, if one is wanted.
    fn offer(&mut self) {
        let upcall = self.tender.upcall;
        let has_slices = upcall.slices || !self.started;
        let &mut kvm_regs { rip, rflags, rsp, .. } = self.registers();
        if self.session.as_ref().is_some_and(Session::keeps_slices) {
            return;
        }
        if self.far.is_stub(rip) {
            // It comes out at once, and the slice goes with what it comes for.
            return;
        }
        let is_due = self.wanted & signals::LOOK != 0 || (self.wanted & signals::TICK != 0 && has_slices);
        self.wanted = 0;
        if !is_due {
            return;
        }
        let at = Interrupted { rip, rflags, rsp, cs: USER_CODE.into(), ss: USER_DATA.into() };
        if upcall.slice(self.tender.vcpu(), &at) {
            let registers = self.registers();
            registers.rip = upcall.entry;
            registers.rflags = rflags & !TRAP_FLAG;
            self.changed();
        }
    }

    fn cannot_run(&self, error: i32) -> ! {
        match error {
            errno::EFAULT | errno::ENOMEM => {
                end(STATUS_OUT_OF_MEMORY, format_args!("the host has no memory for it (error {error})"))
            }
            _ => end(STATUS_ABORT, format_args!("KVM cannot run it (error {error})")),
        }
    }

    /// Exits that no machine of ours should make.
    fn unexpected(&mut self, reason: u32) -> ! {
        let at = self.registers().rip.wrapping_sub(self.tender.layout.image.start);
        // SAFETY: the exit's reason says which part of the union counts.
        let (mmio, entry, internal) = unsafe {
            let parts = &(*self.run).__bindgen_anon_1;
            (parts.mmio.phys_addr, parts.fail_entry.hardware_entry_failure_reason, parts.internal.suberror)
        };
        match reason {
            KVM_EXIT_MMIO => {
                end(STATUS_FAULT, format_args!("the program touched {mmio:#x}, where nothing is, at image+{at:#x}"))
            }
            KVM_EXIT_SHUTDOWN => end(STATUS_FAULT, format_args!("its CPU shut down at image+{at:#x}")),
            KVM_EXIT_FAIL_ENTRY => end(STATUS_ABORT, format_args!("the CPU refuses to run it (reason {entry:#x})")),
            KVM_EXIT_INTERNAL_ERROR => {
                end(STATUS_FAULT, format_args!("KVM cannot carry out what is at image+{at:#x} (error {internal})"))
            }
            _ => end(STATUS_FAULT, format_args!("its CPU stopped at image+{at:#x} (exit {reason})")),
        }
    }
}
