//! The vCPU block: the page through which one vCPU and the far side talk without a call.
//!
//! # Upcalls
//! An upcall enters the guest at the address it gave to [`crate::gate::Call::Upcall`], with every register but `rip` as
//! it was, and with what was interrupted in [`Vcpu::frame`]. Nothing is written to the guest's stack: the block is the
//! only memory that the far side touches, so no pointer of the guest's has to be trusted, and red zones are safe.
//!
//! * **Slice**: delivered when [`Vcpu::mask`] is 0 and `rip` is outside the critical range; the far side sets `mask` to 1
//!   as it delivers. Otherwise it sets [`Vcpu::pending`] to 1 and tries again a slice later.
//! * **Fault**: delivered always, unless the last fault's frame has not been taken (`frame.kind` is still
//!   [`UPCALL_FAULT`]): then the machine ends with a report. The far side sets `mask` to 1 as well.
//!
//! The guest takes a frame by copying it and storing 0 to `frame.kind`. To go back it restores the registers, stores 0
//! to `mask`, and executes `iretq`; from the store to the `iretq` is the critical range.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// The block. One page, writable by both sides; `gs`'s base points to it in the guest.
#[repr(C, align(64))]
pub struct Vcpu {
    /// The block's own guest address, so that `gs:0` finds it.
    pub this: u64,
    /// Not 0: no slice upcall now. A counter, so that critical sections nest.
    pub mask: AtomicU32,
    /// The far side had a slice to deliver and could not.
    pub pending: AtomicU32,
    /// What happened, a bit each; see [`event_bit`]. The far side sets bits, the guest takes them by swapping in 0.
    pub events: AtomicU64,
    /// The guest's own: the running thread.
    pub current: AtomicU64,
    /// The guest's own: registers on the way into an upcall.
    pub scratch: [AtomicU64; 4],
    /// What the last upcall interrupted.
    pub frame: Frame,
    /// When the guest's first instruction ran, and when `main` was called, as TSC values: for the start-up figures.
    pub marks: [AtomicU64; 2],
    /// Where the console itself cannot say that its input has ended (a virtio-console of one port): how many bytes of it
    /// there are in all, and 1 more. 0: not known yet. Comes with [`EVENT_INPUT`].
    pub input_end: AtomicU64,
    /// Where the guest reads the time-stamp counter: wall-clock time when the machine's monotonic clock was 0 (ns since
    /// 1970), as the far side's clock has it by now. 0: as [`crate::boot::Clock::wall_base_ns`] says.
    pub wall_base_ns: AtomicU64,
}

/// What an upcall interrupted.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Frame {
    /// [`UPCALL_SLICE`] or [`UPCALL_FAULT`]; the guest stores 0 when it has copied the frame.
    pub kind: AtomicU64,
    /// Fault: the exception's vector (SDM 3A §6.3.1).
    pub vector: AtomicU64,
    /// Fault: the error code, 0 for vectors without one.
    pub error: AtomicU64,
    /// Page fault: the address that was touched.
    pub address: AtomicU64,
    /// The interrupted instruction pointer.
    pub rip: AtomicU64,
    /// The interrupted flags.
    pub rflags: AtomicU64,
    /// The interrupted stack pointer.
    pub rsp: AtomicU64,
    /// The `cs` selector for the way back by `iretq`.
    pub cs: AtomicU64,
    /// The `ss` selector for the way back by `iretq`.
    pub ss: AtomicU64,
}

/// [`Frame::kind`]: the time slice is over, or an event wants the scheduler's eye.
pub const UPCALL_SLICE: u64 = 1;
/// [`Frame::kind`]: an exception.
pub const UPCALL_FAULT: u64 = 2;

/// [`Vcpu::events`]: the operator wants the machine to stop; the guest's programs see SIGTERM.
pub const EVENT_STOP: u64 = 1 << 63;
/// [`Vcpu::events`]: the operator's terminal sent an interrupt; the guest's programs see SIGINT.
pub const EVENT_INTERRUPT: u64 = 1 << 62;

/// [`Vcpu::events`]: [`Vcpu::input_end`] is known now.
pub const EVENT_INPUT: u64 = 1 << 61;

/// [`Vcpu::events`]: device `index` has used buffers.
pub const fn event_bit(index: usize) -> u64 {
    1 << index
}

/// The events that whoever looks at the devices answers for: all of them, and [`EVENT_INPUT`].
pub const DEVICE_EVENTS: u64 = (event_bit(crate::boot::MAX_DEVICES) - 1) | EVENT_INPUT;

/// Exception vector: divide error.
pub const VECTOR_DIVIDE: u64 = 0;
/// Exception vector: invalid opcode.
pub const VECTOR_INVALID_OPCODE: u64 = 6;
/// Exception vector: general protection.
pub const VECTOR_GENERAL_PROTECTION: u64 = 13;
/// Exception vector: page fault.
pub const VECTOR_PAGE_FAULT: u64 = 14;
/// Exception vector: alignment check.
pub const VECTOR_ALIGNMENT: u64 = 17;

/// Page-fault error code bit: a write.
pub const PAGE_FAULT_WRITE: u64 = 2;
/// Page-fault error code bit: an instruction fetch.
pub const PAGE_FAULT_FETCH: u64 = 16;

/// What a page fault's error code says that was tried, for a report: "… tried to {} address …".
pub fn page_fault_access(error: u64) -> &'static str {
    match error {
        e if e & PAGE_FAULT_FETCH != 0 => "execute",
        e if e & PAGE_FAULT_WRITE != 0 => "write to",
        _ => "read",
    }
}

/// Exit status of a machine that died of a fault, as a shell would report SIGSEGV.
pub const STATUS_FAULT: u64 = 139;
/// Exit status of a machine whose program aborted, as a shell would report SIGABRT.
pub const STATUS_ABORT: u64 = 134;
/// Exit status of a machine that ran out of memory, as a shell would report SIGKILL.
pub const STATUS_OUT_OF_MEMORY: u64 = 137;
/// Exit status of a machine that SIGTERM ended.
pub const STATUS_TERMINATED: u64 = 143;
/// Exit status of a machine that SIGINT ended.
pub const STATUS_INTERRUPTED: u64 = 130;
