//! The process tender: the guest as a locked-down child of this process.
//!
//! What it has in common with the KVM monitor is in [`crate::machine`]. Its own are:
//!
//! | file | what it does |
//! |---|---|
//! | `child` | places the image in the child's own address space, locks down, jumps in |
//! | `gate` | the guest's way in: a plain call |
//! | `tender` | where the gate and the signals find the far side |
//! | `signals` | faults and slices: the kernel's signals, turned into upcalls |
//!
//! # System calls
//! Without a network the child may make seven: `read`, `write`, `epoll_pwait2`, `mprotect` and `madvise` (in the arena,
//! never executable), `exit_group`, and `rt_sigreturn` (from its one place). With a network five more: `recvmsg`,
//! `accept4`, `epoll_ctl` (additions), `close`, `shutdown`. Besides, `clock_gettime` from the vDSO's own pages, which
//! makes the call only where the host's clock cannot be read from user space. All come from one instruction; see
//! `machine::filter`. Linux 5.11 is the oldest kernel that has them all.

mod child;
mod gate;
mod signals;
mod tender;

use crate::machine::{self, filter};
use crate::{Error, Options, Outcome, Program};

/// Runs a program as a child process until it ends; see [`crate::run`].
///
/// # Errors
/// Everything that keeps the machine from starting.
pub fn run(program: &Program<'_>, options: &Options) -> Result<Outcome, Error> {
    machine::run(program, options, &machine::Backend { far: 0, start: child::start, debugs: false })
}

/// The numbers of the system calls that a machine may make as a process, with or without a network.
pub fn system_calls(network: bool) -> Vec<u32> {
    filter::numbers(network, false, true)
}
