//! Files by name, in C's words: one file a family.
//!
//! # Two ways to look names up
//! Most programs need the few names of [`posix::path`] at most. For one with sealed files, and for one that may make
//! files, the builder defines the weak symbol `ampoule_files` as [`ampoule_files_tree`]; then [`posix::files`] is linked,
//! and every call here goes there. Whether a program may make files, the builder learns from the linked program:
//! [`ampoule_may_make_files`] is in it, or [`ampoule_opens_files`] is called from where files are made.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

mod attribute;
mod directory;
mod name;
mod open;
mod space;
mod stat;

pub(crate) use attribute::*;
pub(crate) use directory::*;
pub(crate) use name::*;
pub(crate) use open::*;
pub(crate) use space::*;
pub(crate) use stat::*;

use core::ffi::c_int;
use posix::errno::{Errno, Result};
use posix::file::Kind;
use posix::names::Names;
use posix::table::table;

/// `AT_FDCWD`
const AT_CWD: c_int = posix::names::CURRENT;
/// `AT_SYMLINK_NOFOLLOW`
const AT_NO_FOLLOW: c_int = 0x100;
/// `AT_SYMLINK_FOLLOW`
const AT_FOLLOW: c_int = 0x400;
/// `AT_EMPTY_PATH`
const AT_EMPTY_PATH: c_int = 0x1000;

type Tree = fn() -> &'static dyn Names;

/// The tree of names, in an image that has one. `$who` is a comment in the machine code's source: functions that differ by
/// it alone are two to the optimiser.
#[cfg(ampoule_image)]
macro_rules! tree {
    ($who:literal) => {{
        let address: usize;
        // SAFETY: reads an entry of the global offset table: 0 where the weak symbol is not defined.
        unsafe {
            core::arch::asm!(
                // In every object that refers to it, the symbol is to be weak.
                ".weak ampoule_files",
                concat!("mov {}, qword ptr [rip + ampoule_files@GOTPCREL] # ", $who),
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        // SAFETY: null, or a function of this type: the builder defines the symbol as `ampoule_files_tree`.
        unsafe { core::mem::transmute::<usize, Option<Tree>>(address) }.map(|tree| tree())
    }};
}
#[cfg(not(ampoule_image))]
macro_rules! tree {
    ($who:literal) => {
        Some(ampoule_files_tree())
    };
}

/// The tree of names, in an image that has one.
#[inline(always)]
pub(crate) fn names() -> Option<&'static dyn Names> {
    tree!("looks")
}

/// What the builder defines `ampoule_files` as.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
fn ampoule_files_tree() -> &'static dyn Names {
    posix::files::names()
}

/// [`names`], for calls that make or change files; see the module's page.
#[inline(never)]
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
fn ampoule_may_make_files() -> Option<&'static dyn Names> {
    tree!("changes")
}

/// [`names`], for opening files, which may make them or not; see the module's page.
#[inline(never)]
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
fn ampoule_opens_files() -> Option<&'static dyn Names> {
    tree!("opens")
}

/// Where there is no tree, a relative path counts from the root, the only directory one can be in.
fn check_directory(directory: c_int, path: &[u8]) -> Result<()> {
    if directory == AT_CWD || path.starts_with(b"/") {
        return Ok(());
    }
    match table().get(directory)?.file().kind() {
        Kind::Directory => Ok(()),
        _ => Err(Errno::NOTDIR),
    }
}
