//! Asks KVM for a virtual machine with one vCPU, and sets it to the guest's first instruction.
//!
//! The order matters: CPUID, then XCR0, then the system registers, because KVM refuses bits of CR4 that CPUID does not
//! offer. The system registers are those of an operating system's ring 3 (SDM 3A §2.5, §9.8.5): paging, write protection,
//! no-execute, SMEP and UMIP on; `syscall` off, which makes it an invalid opcode.

use super::cpuid::Table;
use super::descriptor::{self, Far};
use super::refused;
use crate::Error;
use crate::machine::layout::Span;
use abi::boot::{CLOCK_TSC, Clock};
use kvm_bindings::{
    KVM_API_VERSION, KVM_SYNC_X86_REGS, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, Msrs, kvm_device_attr, kvm_msr_entry,
    kvm_regs, kvm_segment, kvm_userspace_memory_region, kvm_xcrs,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};
use std::os::fd::AsRawFd as _;

/// The time-stamp counter, as a register.
const MSR_TSC: u32 = 0x10;
/// Where `syscall` goes.
const MSR_LSTAR: u32 = 0xc000_0082;

/// `ioctl`'s request that sets an attribute of a vCPU (include/uapi/linux/kvm.h).
const KVM_SET_DEVICE_ATTR: libc::c_ulong = 0x4000_aee1 | (size_of::<kvm_device_attr>() as libc::c_ulong) << 16;

/// CR0: protected mode, FPU as it is to be, write protection for the supervisor too, alignment checks allowed, paging.
const CR0: u64 = 0x8005_0033;
/// EFER: long mode, active, no-execute pages. Not `syscall`.
const EFER: u64 = 0xd00;
/// Interrupts on, as ring 3 has them; and the bit that is always 1.
pub(super) const RFLAGS: u64 = 0x202;

/// Opens KVM, and checks that it has what a machine needs.
pub(super) fn open() -> Result<Kvm, Error> {
    let kvm = Kvm::new().map_err(|error| {
        let help = match error.errno() {
            libc::ENOENT => "this computer does not virtualise, or the kernel's kvm module is not loaded",
            libc::EACCES | libc::EPERM => "you may not use it; become a member of its group (ls -l /dev/kvm)",
            _ => "see the kernel's messages",
        };
        Error::NoKvm(format!("/dev/kvm cannot be opened: {}; {help}", std::io::Error::from(error)))
    })?;
    if kvm.get_api_version() != KVM_API_VERSION as i32 {
        return Err(Error::NoKvm("/dev/kvm speaks another version of the interface".into()));
    }
    for (capability, name) in [
        (Cap::UserMemory, "memory of ours (KVM_CAP_USER_MEMORY)"),
        (Cap::ExtCpuid, "CPUID (KVM_CAP_EXT_CPUID)"),
        (Cap::Xcrs, "XCR0 (KVM_CAP_XCRS)"),
        (Cap::ImmediateExit, "an exit on request (KVM_CAP_IMMEDIATE_EXIT)"),
    ] {
        if !kvm.check_extension(capability) {
            return Err(Error::NoKvm(format!("it lacks {name}; a newer kernel has it")));
        }
    }
    if kvm.check_extension_int(Cap::SyncRegs) & KVM_SYNC_X86_REGS as i32 == 0 {
        return Err(Error::NoKvm("it lacks shared registers (KVM_CAP_SYNC_REGS); a newer kernel has them".into()));
    }
    Ok(kvm)
}

/// A virtual machine without a CPU.
pub(super) fn create(kvm: &Kvm, memory: Span) -> Result<VmFd, Error> {
    let vm = kvm.create_vm().map_err(refused("make a virtual machine"))?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: 0,
        memory_size: memory.length(),
        userspace_addr: memory.start,
        flags: 0,
    };
    // SAFETY: the child's reservation for this machine, which stays mapped for the process's life.
    unsafe { vm.set_user_memory_region(region) }.map_err(refused("take the machine's memory"))?;
    Ok(vm)
}

/// What the vCPU starts with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) far: Far,
    /// The top of the page tables.
    pub(super) tables: u64,
    pub(super) entry: u64,
    pub(super) stack: u64,
    pub(super) boot: u64,
    /// The task state's type, see [`super::quirk`].
    pub(super) task_type: u8,
}

/// Gives the vCPU its features.
pub(super) fn features(vcpu: &VcpuFd, table: &Table) -> Result<(), Error> {
    vcpu.set_cpuid2(&table.0).map_err(refused("take the features that it offers"))?;
    if table.xcr0() != 0 {
        let mut registers = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
        registers.xcrs[0].value = table.xcr0();
        vcpu.set_xcrs(&registers).map_err(refused("take the vector state that it offers"))?;
    }
    Ok(())
}

/// Brings the vCPU to the guest's first instruction.
pub(super) fn prepare(vcpu: &VcpuFd, table: &Table, start: &Start) -> Result<(), Error> {
    let mut system = vcpu.get_sregs().map_err(refused("give the system registers"))?;
    let table_of = |(base, limit): descriptor::Table, into: &mut kvm_bindings::kvm_dtable| {
        (into.base, into.limit) = (base, limit);
    };
    table_of(start.far.gdt(), &mut system.gdt);
    table_of(start.far.idt(), &mut system.idt);
    (system.cr0, system.cr3, system.cr4, system.efer) = (CR0, start.tables, table.cr4(), EFER);
    let flat = kvm_segment { limit: u32::MAX, present: 1, dpl: 3, s: 1, g: 1, ..kvm_segment::default() };
    system.cs = kvm_segment { selector: descriptor::USER_CODE, type_: 11, l: 1, ..flat };
    let data = kvm_segment { selector: descriptor::USER_DATA, type_: 3, db: 1, ..flat };
    (system.ss, system.ds, system.es, system.fs, system.gs) = (data, data, data, data, data);
    let (base, limit) = start.far.task();
    let none = kvm_segment::default();
    let task = kvm_segment { base, limit: limit.into(), selector: descriptor::TASK, present: 1, ..none };
    system.tr = kvm_segment { type_: start.task_type, ..task };
    system.ldt = kvm_segment { type_: 2, unusable: 1, ..none };
    vcpu.set_sregs(&system)
        .map_err(refused("take the system registers (if its CPUs lack FSGSBASE, no machine can run on them)"))?;
    // A KVM that emulates ring 0 may let `syscall` through in spite of EFER. It then arrives at an exit, too.
    let target =
        Msrs::from_entries(&[kvm_msr_entry { index: MSR_LSTAR, data: start.far.syscall(), ..Default::default() }]);
    if let Ok(target) = target {
        let _ = vcpu.set_msrs(&target);
    }
    let registers =
        kvm_regs { rip: start.entry, rsp: start.stack, rdi: start.boot, rflags: RFLAGS, ..kvm_regs::default() };
    vcpu.set_regs(&registers).map_err(refused("take the registers"))
}

/// The guest's clock: as the guest reads it, and as the child does.
pub(super) fn clock(vcpu: &VcpuFd, wall_ns: u64) -> Result<(Clock, Clock), Error> {
    let khz = vcpu.get_tsc_khz().map_err(refused("say how fast the time-stamp counter runs"))?;
    let (guest, host) = counters(vcpu)?;
    let multiplier = ((1_000_000u128 << 32) / u128::from(khz.max(1))) as u64;
    let clock = |tsc_base| Clock { kind: CLOCK_TSC, tsc_base, multiplier, wall_base_ns: wall_ns, ..Clock::default() };
    Ok((clock(guest), clock(host)))
}

/// The guest's and the host's counter at one moment. They are made the same where KVM can (since Linux 5.16); where it
/// cannot, the guest's is asked for.
fn counters(vcpu: &VcpuFd) -> Result<(u64, u64), Error> {
    // SAFETY: ring 3 may read the time-stamp counter.
    let host = || unsafe { core::arch::x86_64::_rdtsc() };
    let offset = 0u64;
    let attribute = kvm_device_attr {
        group: KVM_VCPU_TSC_CTRL,
        attr: u64::from(KVM_VCPU_TSC_OFFSET),
        addr: &raw const offset as u64,
        flags: 0,
    };
    // SAFETY: the request reads the attribute and, through it, the offset; both live through the call.
    let same = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_DEVICE_ATTR, &raw const attribute) } == 0;
    if same {
        let now = host();
        return Ok((now, now));
    }
    let entry = [kvm_msr_entry { index: MSR_TSC, ..Default::default() }];
    let refused = refused("give the time-stamp counter");
    let mut registers = Msrs::from_entries(&entry).map_err(|_| refused(kvm_ioctls::Error::new(libc::ENOMEM)))?;
    let before = host();
    let read = vcpu.get_msrs(&mut registers).map_err(&refused)?;
    let after = host();
    match registers.as_slice() {
        [register] if read == 1 => Ok((register.data, before + (after - before) / 2)),
        _ => Err(refused(kvm_ioctls::Error::new(libc::EINVAL))),
    }
}
