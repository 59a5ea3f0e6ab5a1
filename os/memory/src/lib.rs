//! Memory: pages of the arena, and the heap that malloc uses.
//!
//! Nothing is touched before somebody needs it: pages that were never handed out cost the host nothing, and the heap
//! takes them in small steps.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod admission;
mod cache;
pub mod heap;
pub mod pages;
mod room;
mod runs;
mod shared;

pub use admission::{Admission, Promise};
pub use room::{has_spare, try_box};
pub use shared::Shared;

/// How much is left for whoever asks next, in bytes: free pages, and what the heap holds that nobody uses (a heap that has
/// grown keeps its pages). Not necessarily in one piece.
pub fn free_bytes() -> usize {
    pages::free_bytes() + heap::free_bytes()
}
