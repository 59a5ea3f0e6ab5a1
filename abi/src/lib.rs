//! What both sides of the gate share, compiled into each of them.
//!
//! Above the gate stands the library OS with the program; below it an exokernel, our monitor or the process tender.
//! They meet only here: [`gate`] names the calls, [`boot`] is the page that a machine starts from, [`vcpu`] the block
//! through which upcalls arrive, [`ring`] the virtqueue that carries all input and output, [`hostnet`] and [`console`]
//! what travels in it, [`image`] and [`manifest`] what the sealed file says about itself, [`files`] the files in it,
//! [`trace`] what a program can be seen to ask of its operating system.
//!
//! Everything is plain data with a fixed layout. Nothing here trusts the other side, allocates on a hot path, or knows
//! which of the three things below the gate it talks to.
#![no_std]

extern crate alloc;

pub mod address;
pub mod boot;
pub mod console;
pub mod files;
pub mod gate;
pub mod hostnet;
pub mod image;
pub mod manifest;
pub mod ring;
pub mod trace;
pub mod vcpu;

/// The page size that both sides count in, in bytes. Every region, segment and mapping is a multiple of it.
pub const PAGE_SIZE: u64 = 4096;
