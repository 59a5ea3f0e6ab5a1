//! The sealed image on the host: made from a linked program, checked before anything trusts it, and explained.
//!
//! [`seal()`] takes what the linker gave (one static position-independent ELF), the manifest and the exokernel, and writes
//! the one file that runs everywhere. [`Image`] reads such a file back, believing nothing in it until it is proved.
//! [`debug`] names addresses, [`inspect`] says what got in. Who loads the image looks only at [`abi::image`].
//!
//! # The file
//! ```text
//! 0x0000  ELF header, program headers, two notes      for other people's loaders (PVH)
//! 0x0400  the exokernel                               physical 1 MiB on
//! page    header, manifest, strings, RELR, files …     link address 0, read-only
//!         the guest's own segments                    shifted up by the bytes before them
//! ```
//! A signature is no part of the file: it stands beside it ([`signature`]), so a signed image is the same image.
//!
//! Nothing in it depends on the time, the folder or the machine that built it: the same input gives the same bytes.
#![forbid(unsafe_code)]

pub mod contents;
pub mod debug;
mod elf;
pub mod files;
mod guest;
mod header;
mod image;
pub mod inspect;
mod manifest;
mod reach;
pub mod record;
mod relr;
mod seal;
pub mod signature;
mod syscalls;

pub use guest::is_dynamic;
pub use image::{Image, ImageError, is_whole};
pub use inspect::hex;
pub use manifest::{decode as decode_manifest, encode as encode_manifest};
pub use reach::may_make_files;
pub use seal::{SealError, SealInput, Sealed, seal};
pub use syscalls::raw_system_calls;
