//! Upcalls: what was interrupted goes to the vCPU block, as [`abi::vcpu`] says; the backend then enters the guest.

use super::tender::end;
use abi::vcpu::{STATUS_FAULT, UPCALL_FAULT, UPCALL_SLICE, VECTOR_PAGE_FAULT, Vcpu, page_fault_access};
use core::sync::atomic::Ordering;

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

/// The registers that an upcall changes, or that `iretq` wants back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interrupted {
    pub(crate) rip: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) cs: u64,
    pub(crate) ss: u64,
}

/// An exception.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exception {
    pub(crate) vector: u64,
    pub(crate) error: u64,
    /// Page fault: the address that was touched. Otherwise it does not count.
    pub(crate) address: u64,
}

impl Upcall {
    /// A slice is over, or there is something to look at. True: enter the guest at `entry`. False: it does not want that
    /// now, and was left a note.
    pub(crate) fn slice(&self, vcpu: &Vcpu, at: &Interrupted) -> bool {
        if self.entry == 0 {
            return false;
        }
        if vcpu.mask.load(Ordering::Relaxed) != 0 || (self.critical_start..self.critical_end).contains(&at.rip) {
            vcpu.pending.store(1, Ordering::Relaxed);
            return false;
        }
        fill(vcpu, UPCALL_SLICE, at);
        true
    }

    /// An exception: enter the guest at `entry`. If it cannot take it, the machine ends here.
    pub(crate) fn fault(&self, vcpu: &Vcpu, at: &Interrupted, exception: &Exception) {
        let Exception { vector, error, address } = *exception;
        let rip = at.rip;
        if self.entry == 0 {
            end(STATUS_FAULT, format_args!("it {}, at {rip:#x}, before it could take a fault", Did(exception)));
        }
        if vcpu.frame.kind.load(Ordering::Relaxed) == UPCALL_FAULT {
            let first = vcpu.frame.rip.load(Ordering::Relaxed);
            end(
                STATUS_FAULT,
                format_args!("it {}, at {rip:#x}, while it handled its fault at {first:#x}", Did(exception)),
            );
        }
        vcpu.frame.vector.store(vector, Ordering::Relaxed);
        vcpu.frame.error.store(error, Ordering::Relaxed);
        vcpu.frame.address.store(if vector == VECTOR_PAGE_FAULT { address } else { 0 }, Ordering::Relaxed);
        fill(vcpu, UPCALL_FAULT, at);
    }
}

/// What a program did, in a report's words.
struct Did<'a>(&'a Exception);

impl core::fmt::Display for Did<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Exception { vector, error, address } = *self.0;
        match vector {
            VECTOR_PAGE_FAULT => write!(f, "tried to {} address {address:#x}", page_fault_access(error)),
            _ => write!(f, "raised exception {vector}, error {error:#x}"),
        }
    }
}

fn fill(vcpu: &Vcpu, kind: u64, at: &Interrupted) {
    let frame = &vcpu.frame;
    frame.rip.store(at.rip, Ordering::Relaxed);
    frame.rflags.store(at.rflags, Ordering::Relaxed);
    frame.rsp.store(at.rsp, Ordering::Relaxed);
    frame.cs.store(at.cs, Ordering::Relaxed);
    frame.ss.store(at.ss, Ordering::Relaxed);
    frame.kind.store(kind, Ordering::Relaxed);
    vcpu.mask.store(1, Ordering::Relaxed);
}
