//! The gate: every call that a machine can make to what lies below it.
//!
//! How a call crosses is a few bytes of code that the far side supplies and [`crate::boot::BootInfo::gate`] points to:
//! `int3` into the exokernel, a port write to the monitor, a plain call into the tender. To the caller it is a function
//! of the System V ABI: the call's number and three arguments in, one signed result out. It may clobber all
//! caller-saved registers, and it keeps the direction flag clear.
//!
//! Results: zero or more is success. A negative result is one of [`GateError`]'s values. A call with a wrong argument
//! never harms the far side; most wrong arguments are errors, and those that only a broken guest can send (an exit
//! status is always accepted) end the machine with a report.

/// The gate's entry, as the boot information gives it: `(call, a, b, c) -> result`.
pub type GateFn = unsafe extern "sysv64" fn(u64, u64, u64, u64) -> i64;

/// The calls. Addresses are [`crate::address::GuestAddr`] values, lengths are bytes.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `exit(status)`: the machine ends with this status (the low eight bits count). Never returns.
    Exit = 0,
    /// `log(kind, address, length)`: emergency output that needs no driver. `kind` is a [`LogKind`].
    Log = 1,
    /// `wait(until)`: kick every queue, serve all rings, and sleep until an event is pending or the monotonic clock
    /// reaches `until` (ns since boot). [`WAIT_POLL`] never sleeps, [`WAIT_FOREVER`] has no deadline. Pending events
    /// are set in [`crate::vcpu::Vcpu::events`] before it returns; it may return early without any.
    Wait = 2,
    /// `kick(device, queue)`: serve this queue now. Needed only where a device's doorbell cannot be stored to; where it
    /// can, and where there is no such queue, a [`GateError::BadArgument`].
    Kick = 3,
    /// `map(address, length, access)`: pages of the arena that were unmapped become accessible and read as zero. A far
    /// side need not know which are unmapped; then it does with mapped ones as `protect` does.
    Map = 4,
    /// `unmap(address, length)`: pages of the arena lose their contents and every access to them faults.
    Unmap = 5,
    /// `protect(address, length, access)`: pages of the arena keep their contents and change their access.
    Protect = 6,
    /// `upcall(entry, critical_start, critical_end)`: where the guest is entered on a fault and at the end of a time
    /// slice; no slice is delivered while the instruction pointer is in the critical range. See [`crate::vcpu`].
    Upcall = 7,
    /// `slice(ns)`: deliver a slice upcall every `ns` nanoseconds from now on, or as often as the far side does (none does
    /// so more often than every millisecond); 0 stops it.
    Slice = 8,
    /// `start_cpu(entry, stack)`: start another vCPU. Every far side refuses it today.
    StartCpu = 9,
}

impl Call {
    /// The call of this number, if there is one.
    pub fn from_number(number: u64) -> Option<Self> {
        use Call::*;
        [Exit, Log, Wait, Kick, Map, Unmap, Protect, Upcall, Slice, StartCpu].into_iter().find(|c| *c as u64 == number)
    }
}

/// What [`Call::Log`] carries.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// UTF-8 text for a person, printed as it is to where standard error goes.
    Text = 0,
    /// A backtrace: an array of `u64` return addresses, innermost first, at most [`BACKTRACE_MAX`]. The far side
    /// prints each as an offset into the image, and by name where it has the image's debug file.
    Backtrace = 1,
    /// A line of a trace, its newline included ([`crate::trace`]): to where the operator wants traces, or nowhere. An
    /// exokernel that came with an ordinary image does not know it.
    Trace = 2,
}

/// The longest backtrace that [`LogKind::Backtrace`] takes, in frames.
pub const BACKTRACE_MAX: u64 = 128;
/// The longest text that [`LogKind::Text`] and [`LogKind::Trace`] take, in bytes; the rest is cut off.
pub const LOG_MAX: u64 = 16384;

/// [`Call::Wait`] with this deadline serves the rings and returns at once.
pub const WAIT_POLL: u64 = 0;
/// [`Call::Wait`] with this deadline sleeps until something happens.
pub const WAIT_FOREVER: u64 = u64::MAX;

/// Access for [`Call::Map`] and [`Call::Protect`]: none (a guard page).
pub const ACCESS_NONE: u64 = 0;
/// Access for [`Call::Map`] and [`Call::Protect`]: reading.
pub const ACCESS_READ: u64 = 1;
/// Access for [`Call::Map`] and [`Call::Protect`]: reading and writing.
pub const ACCESS_READ_WRITE: u64 = 3;
/// The bit that would ask for execution. The far side always refuses it: code comes from the sealed image alone.
pub const ACCESS_EXECUTE: u64 = 4;

/// Why the far side refused a call. The values are the negated results.
#[repr(i64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateError {
    /// no call has this number
    NoSuchCall = 1,
    /// an address or a length is outside what this call may touch, or not a multiple of the page size
    BadAddress = 2,
    /// the arguments contradict each other or the call's contract
    BadArgument = 3,
    /// the request would break the seal (execution, or the image itself)
    Sealed = 4,
    /// the far side has not got what it takes (memory, another vCPU)
    NoResources = 5,
}

impl GateError {
    /// The error behind a negative result; an unknown number reads as [`GateError::BadArgument`].
    pub fn from_result(result: i64) -> Self {
        use GateError::*;
        [NoSuchCall, BadAddress, BadArgument, Sealed, NoResources]
            .into_iter()
            .find(|e| -(*e as i64) == result)
            .unwrap_or(BadArgument)
    }
}
