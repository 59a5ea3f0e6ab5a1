//! The KVM monitor: the guest in a virtual machine of our own making, with no ring-0 code in it.
//!
//! What it has in common with the process backend is in [`crate::machine`]: the same child, the same servers of devices,
//! the same parent that decides about the network. Its own are:
//!
//! | file | what it does |
//! |---|---|
//! | `child` | makes the machine, locks down, runs it |
//! | `vm` | asks KVM for a virtual machine and brings its CPU to the guest's first instruction |
//! | `paging`, `descriptor`, `cpuid` | the tables that the CPU reads: pages, segments and interrupts, features |
//! | `vcpu` | runs the vCPU, and answers its exits |
//! | `debug` | gdb's remote protocol, where a debugger was asked for |
//! | `signals` | what ends a stretch of running: the slice timer, the parent |
//! | `quirk` | a bug of QEMU's emulated SVM, and the tests' way around it |
//!
//! # Ring 3 from the first instruction
//! The vCPU starts at the image's entry point in ring 3, with paging on, and stays there. Page tables, GDT, IDT and task
//! state are written from outside, once; the guest can reach none of them. What the exokernel does in ring 0 under other
//! hypervisors is done here by the monitor: an exception's gate leads to a stub in ring 3 whose one instruction is an exit.
//!
//! Nothing here depends on how KVM does its work: hardware (VMX, SVM) or, in clouds that offer none, shadowed tables and
//! emulated ring 0. The few places where they differ say so, and `cargo xtask nested` runs the guests on SVM.

mod child;
mod cpuid;
mod debug;
mod descriptor;
mod paging;
mod quirk;
mod signals;
mod vcpu;
mod vm;

use crate::machine::{self, filter};
use crate::{Error, Options, Outcome, Program};

/// Runs a program under KVM until it ends; see [`crate::run`].
///
/// # Errors
/// Everything that keeps the machine from starting; [`Error::NoKvm`] where KVM is the reason.
pub fn run(program: &Program<'_>, options: &Options) -> Result<Outcome, Error> {
    machine::run(program, options, &machine::Backend { far: descriptor::LENGTH, start: child::start, debugs: true })
}

/// Is KVM there, and does it have what a machine needs?
///
/// # Errors
/// [`Error::NoKvm`] says what is missing, and what can be done.
pub fn check() -> Result<(), Error> {
    vm::open().map(drop)
}

/// Does KVM make a virtual machine with a CPU that can run a guest? Takes a millisecond; [`check`] is enough for a start.
///
/// # Errors
/// [`Error::NoKvm`].
pub fn try_out() -> Result<(), Error> {
    let kvm = vm::open()?;
    let vm = kvm.create_vm().map_err(refused("make a virtual machine"))?;
    let vcpu = vm.create_vcpu(0).map_err(refused("make a CPU"))?;
    let features = cpuid::Table::supported(&kvm)?;
    vm::features(&vcpu, &features)?;
    vm::clock(&vcpu, 0).map(drop)
}

/// The numbers of the system calls that a machine's monitor may make, with or without a network.
pub fn system_calls(network: bool) -> Vec<u32> {
    filter::numbers(network, true, true)
}

/// An error of a request that KVM refused.
fn refused(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> Error {
    move |error| Error::NoKvm(format!("it does not {what}: {}", std::io::Error::from(error)))
}
