//! The life of a machine: from a checked image to an exit status.
//!
//! [`run`] starts a machine on one of the backends and stays with it until it ends. Each backend is a folder with the
//! same file names where the same thing is done: [`kvm`] is our own virtual machine monitor; [`process`] is the tender, which
//! runs the guest as a locked-down child of this process; [`qemu`] starts QEMU. What our own two have in common is in
//! `machine`.
//!
//! What the host decides about the network for every backend of our own, the manifest's policy and the published ports,
//! is in [`sockets`].

mod backtrace;
mod capture;
mod counters;
mod debugger;
mod error;
pub mod jail;
pub mod kvm;
mod machine;
mod network;
mod options;
pub mod process;
pub mod qemu;
pub mod sockets;
mod tap;
pub mod timeline;

pub use counters::Counters;
pub use debugger::{Attach, Debugged};
pub use error::Error;
pub use network::{Network, Station, Tap};
pub use options::{Backend, Notice, Options, Outcome, Program, Publish};

/// The line that says why a backtrace has no names, where the debug file at `path` does not help.
pub fn without_names(path: &str, why: &str) -> String {
    format!("ampoule: no names: {path}: {why}")
}

/// Runs a program until it ends.
///
/// Signals: while the machine runs, SIGTERM and SIGINT are taken from the calling thread and passed on as the machine's
/// stop and interrupt events; the second one ends the machine at once. The process must have no other threads when the
/// machine is started as a process.
///
/// # Errors
/// Everything that keeps the machine from starting. What goes wrong later is in the [`Outcome`].
pub fn run(program: &Program<'_>, options: &Options) -> Result<Outcome, Error> {
    match options.backend {
        Backend::Kvm => kvm::run(program, options),
        Backend::Process => process::run(program, options),
    }
}
