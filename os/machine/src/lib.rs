//! The one guest crate that touches the CPU: entry, gate, clock, contexts, upcalls, faults, device memory.
//!
//! Everything above it is architecture-neutral and mostly safe. The architecture sits behind one switch: in an image
//! `arch` is `arch/x86_64`, which assumes ring 3 of a machine as [`abi::boot`] describes it; anywhere else it is
//! `arch/hosted`, an ordinary process with an arena and a clock, so that the crates above can run their unit tests.
//!
//! # Invariants
//! * `gs`'s base is this CPU's [`abi::vcpu::Vcpu`] from the first instructions on; `fs`'s base is the running thread's
//!   thread pointer (psABI variant II).
//! * [`cpu::mask`] nests, and while it is not 0 no slice upcall arrives: that is what makes a spin lock safe here.
//! * Upcalls never write to a thread's stack; they save into its [`context::Context`].
#![cfg_attr(ampoule_image, no_std)]

#[cfg_attr(ampoule_image, path = "arch/x86_64/mod.rs")]
#[cfg_attr(not(ampoule_image), path = "arch/hosted/mod.rs")]
mod arch;

pub mod backtrace;
pub mod clock;
pub mod context;
pub mod cpu;
pub mod dma;
pub mod elf;
pub mod end;
pub mod fault;
pub mod gate;
pub mod mmio;
pub mod sealed;
pub mod tls;

pub use arch::boot;
pub use end::on_end;
