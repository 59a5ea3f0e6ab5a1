//! The exokernel: ring 0 for other people's hypervisors, and nothing else.
//!
//! It boots by PVH ([`entry`]), reads what the hypervisor says ([`start`], [`command_line`]), finds virtio devices
//! ([`device`]), puts the image at a random address behind sealed page tables ([`image`], [`paging`]), writes the boot
//! information ([`boot`]) and enters the guest in ring 3. From then on it only answers: [`gate`] calls, and traps
//! ([`trap`]), which it hands up. It manages nothing: no files, no sockets, no threads.
//!
//! # Invariants
//! * One CPU, and ring 0 runs with interrupts off. The only place that lets one in is [`cpu::idle`], an assembly
//!   function; so no handler ever runs on a stack whose red zone is in use, and state in atomics needs no locks.
//! * The first 4 GiB of physical memory are mapped at the same addresses, for the supervisor only, never both writable
//!   and executable. The guest's memory is reached through that alias alone, so SMAP can stay on.
//! * The guest's pages are mapped from PML4 slot 1 on. None is both writable and executable, and no call changes that.
//! * Devices address memory without an IOMMU: a guest that writes nonsense into its rings can overwrite anything in its
//!   own machine, this code included. The protection against that is the hypervisor.
#![cfg_attr(not(test), no_std)]

pub mod apic;
pub mod boot;
pub mod clock;
pub mod command_line;
pub mod cpu;
pub mod descriptor;
pub mod device;
pub mod entropy;
pub mod entry;
pub mod frames;
pub mod gate;
pub mod image;
pub mod paging;
pub mod ram;
pub mod serial;
pub mod start;
pub mod timer;
pub mod trap;
pub mod upcall;
