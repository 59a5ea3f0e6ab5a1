//! Files: those that are sealed into the image, read-only from `/` on, and a file system in memory at `/tmp`.
//!
//! A service below `posix`, which has descriptors, offsets and flags; here are names, contents and attributes. Nobody
//! but the program itself is there, and it has all rights: permissions are remembered and shown, and what is refused
//! is refused by what a file is (sealed, a directory), not by who asks.
//!
//! * `volume`, `state`, `walk`, `place`: the one tree, and paths through it
//! * `tmp`: nodes, contents, and the bound on their memory
//! * `special`: what every machine has; `lock`, `record`: advisory locks; `handle`: open files
//!
//! # One lock
//! Every operation takes the volume's spin lock, so a path is walked and used in one step, and no name changes in
//! between. Contents are copied in steps of 64 KiB, so that pre-emption never waits for longer than that takes. A table
//! of sealed files that lies gives errors, never a panic: it is read by [`abi::files`].
//!
//! # In an image only where it is wanted
//! `posix::files` reaches this crate, and the C door reaches that by a weak symbol, which the builder defines for programs
//! with sealed files and for those that may make files.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod attributes;
mod error;
mod handle;
mod lock;
mod place;
mod record;
mod special;
mod state;
#[cfg(test)]
mod tests;
mod tmp;
mod volume;
mod walk;

pub use attributes::{Attribute, Attributes, NewTime, Time, Times};
pub use error::{Error, Result};
pub use handle::{Allocation, Mapped};
pub use lock::Lock;
pub use place::Handle;
pub use record::{LAST, Range};
pub use special::Special;
pub use tmp::data::Mapping;
pub use tmp::space::SpaceReport;
pub use volume::{Found, Move, Opened, Opening, Start, Volume, volume};

/// `/tmp`'s number as a file system (`st_dev`).
const TMP_DEVICE: u64 = 2;
