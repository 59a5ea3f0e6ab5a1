//! The child: from the fork to the guest's first instruction, and on.
//!
//! Guest-physical memory is one stretch: page tables, then the machine as [`Layout`] has it. The child sees it at an
//! address of its own, which has nothing to do with the guest's, and has no more access to it than the guest has: what is
//! sealed for the guest is read-only here too, and nothing in it is executable.

use super::cpuid::Table;
use super::descriptor::Far;
use super::paging::{Flags, Full, LARGE_SIZE, Tables};
use super::vcpu::{DESCRIPTOR, Kvm, Machine};
use super::{debug, quirk, signals, vm};
use crate::Error;
use crate::Program;
use crate::jail;
use crate::machine::child::{self, Plan};
use crate::machine::layout::{Layout, Span};
use crate::machine::tender::end;
use crate::machine::{boot, filter, signals as shared_signals, vdso};
use crate::timeline::Mark;
use abi::vcpu::STATUS_ABORT;
use host_device::system;
use kvm_bindings::KVM_SYNC_X86_REGS;
use kvm_ioctls::VcpuFd;
use std::os::fd::AsRawFd as _;

/// Becomes the machine. Returns only if that failed.
pub(super) fn start(plan: Plan<'_>) -> Error {
    match build(&plan) {
        Ok((machine, rules)) => {
            // Nothing is allocated or given back from here on.
            if child::lock_down(&rules).is_err() {
                end(STATUS_ABORT, format_args!("the kernel refuses the seccomp filter"));
            }
            plan.mark(Mark::Locked);
            machine.run()
        }
        Err(error) => error,
    }
}

fn build(plan: &Plan<'_>) -> Result<(Machine, Vec<libc::sock_filter>), Error> {
    child::die_with(plan.parent)?;
    child::descriptors(plan)?;
    let kvm = vm::open()?;
    jail::drop_root(false)?;
    let layout = plan.layout.at(plan.base.unwrap_or_else(child::random_base));
    let room = Tables::room(&layout);
    let memory = place(&layout, room)?;
    let layout = layout.seen_at(memory.start + room);
    child::open(&layout)?;
    plan.mark(Mark::Reserved);
    let vm = vm::create(&kvm, memory)?;
    let mut vcpu = vm.create_vcpu(0).map_err(super::refused("make a CPU"))?;
    plan.mark(Mark::Vm);
    // A third of a millisecond; in another thread it is no quicker.
    let features = Table::supported(&kvm)?;
    vm::features(&vcpu, &features)?;
    let (clock, own_clock) = vm::clock(&vcpu, vdso::now(libc::CLOCK_REALTIME))?;
    plan.mark(Mark::Cpu);
    let far = Far::of(layout.far);
    let rings = plan.rings.clone().at(layout.rings);
    let told = boot::Far { gate: far.gate(), clock, cpu: features.cpu(), device_flags: 0 };
    // SAFETY: `child::open` made it accessible, and nothing else is there.
    unsafe {
        child::fill(plan, &layout, &rings, &told)?;
        layout.host(far.code.start).cast::<[u8; 4096]>().write(far.code_page());
        layout.host(far.tables.start).cast::<[u8; 4096]>().write(far.tables_page());
    }
    plan.mark(Mark::Filled);
    child::seal(&plan.program, &layout, libc::PROT_READ | libc::PROT_WRITE)?;
    if plan.debugger.is_some() {
        // For its breakpoints. The guest's own view stays as it is.
        child::protect_code(&plan.program, &layout, libc::PROT_READ | libc::PROT_WRITE)?;
    }
    for page in [far.code, far.tables] {
        child::protect(&layout, page, libc::PROT_READ)?;
    }
    plan.mark(Mark::Sealed);
    // SAFETY: `place` reserved the room, zeroed, for this alone.
    let mut tables = unsafe { Tables::new(memory.start as *mut u8, room, layout.image.start) };
    map(&mut tables, &plan.program, &layout, &far).map_err(|Full| Error::BadImage("too large for its page tables"))?;
    let start = vm::Start {
        far,
        tables: tables.renewed().unwrap_or_default(),
        entry: layout.image.start + plan.program.header.entry,
        stack: layout.stack.end,
        boot: layout.boot.start,
        task_type: quirk::task_type(),
    };
    vm::prepare(&vcpu, &features, &start)?;
    let first = vcpu.get_regs().map_err(super::refused("give the registers"))?;
    let run = std::ptr::from_mut(vcpu.get_kvm_run());
    // SAFETY: the vCPU's own page, which stays mapped: the value is given up just below.
    let exit = unsafe {
        (*run).kvm_valid_regs = KVM_SYNC_X86_REGS.into();
        // What a debugger sees before the first instruction.
        (*run).s.regs.regs = first;
        &raw mut (*run).immediate_exit
    };
    drop((kvm, vm));
    plan.mark(Mark::Tables);
    keep(vcpu)?;
    let platform = Kvm { tables, task_type: start.task_type, period_us: 0, exits: 0 };
    let tender = child::tender(plan, platform, layout, &rings, own_clock)?;
    plan.mark(Mark::Devices);
    // SAFETY: as above; it lies in that page.
    unsafe {
        signals::install(&child::stacks(0)?, exit, layout.host_span(Span { end: layout.arena.end, ..layout.image }))?
    };
    if plan.debugger.is_some() {
        debug::set_up()?;
    }
    child::await_verdict()?;
    plan.mark(Mark::Verdict);
    let rules = filter::Rules {
        arena: layout.host_span(layout.arena),
        network: rings.hostnet().is_some(),
        site: system::site(),
        restorer: shared_signals::restorer_site(),
        vdso: vdso::pages().map_or((0, 0), |(start, end)| (start as u64, end as u64)),
        vcpu: Some(filter::Vcpu {
            descriptor: DESCRIPTOR,
            requests: debug::requests(plan.debugger.is_some()),
            timer: signals::TIMER,
        }),
    };
    // SAFETY: the vCPU's page, as above, and the far side's stack page, which the layout gave room for.
    Ok((unsafe { Machine::new(tender, far, run, plan.debugger.map(|_| plan.symbols)) }, rules.assemble()))
}

/// Reserves the child's view: `room` bytes for tables, accessible, then the machine, not yet. A stretch as long as the
/// arena is kept free behind it, so that no call can reach past the arena into something else.
fn place(layout: &Layout, room: u64) -> Result<Span, Error> {
    let length = room + layout.arena.end - layout.image.start;
    let whole = length + layout.arena.length() + LARGE_SIZE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping; its first aligned part is kept, and what is behind it given back.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), whole as usize, libc::PROT_NONE, flags, -1, 0);
        if at == libc::MAP_FAILED {
            return Err(Error::last("reserve address space for the machine"));
        }
        let start = (at as u64).next_multiple_of(LARGE_SIZE);
        libc::munmap((start + length) as *mut _, (at as u64 + whole - start - length) as usize);
        if libc::mprotect(start as *mut _, room as usize, libc::PROT_READ | libc::PROT_WRITE) != 0 {
            return Err(Error::last("have memory for page tables"));
        }
        Ok(Span { start, end: start + length })
    }
}

/// The guest's view. The arena's large pages are the guest's alone: asking the host for such (`MADV_HUGEPAGE`) made a
/// vector of 64 MiB two to three times as quick where memory was warm, and thirty threads twenty times as slow, because each
/// stack then costs 2 MiB of zeros.
fn map(tables: &mut Tables, program: &Program<'_>, layout: &Layout, far: &Far) -> Result<(), Full> {
    for segment in &program.header.segments[..program.header.segment_count as usize] {
        let start = layout.image.start + segment.address;
        let span = Span { start, end: start + segment.memory_length };
        tables.map(span, Flags::of_segment(segment.access), false)?;
    }
    tables.map(layout.boot, Flags::READ_ONLY, false)?;
    for span in [layout.vcpu, layout.rings, far.stack, layout.stack] {
        tables.map(span, Flags::DATA, false)?;
    }
    tables.map(far.code, Flags::CODE, false)?;
    tables.map(far.tables, Flags::SYSTEM, false)?;
    tables.map(layout.arena, Flags::DATA, true)
}

/// Gives the vCPU's descriptor its number, and leaves it open for good. The machine lives as long as its vCPU does, so the
/// other descriptors have gone.
fn keep(vcpu: VcpuFd) -> Result<(), Error> {
    // SAFETY: descriptors only; those above are not used again.
    let failed = unsafe {
        let own = vcpu.as_raw_fd();
        (own != DESCRIPTOR && (libc::dup2(own, DESCRIPTOR) < 0 || libc::close(own) != 0))
            || libc::close_range(DESCRIPTOR as u32 + 1, u32::MAX, 0) != 0
    };
    std::mem::forget(vcpu);
    if failed { Err(Error::last("arrange the machine's descriptors")) } else { Ok(()) }
}
