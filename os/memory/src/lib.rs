//! Memory: pages of the arena, and the heap that malloc uses.
//!
//! Nothing is touched before somebody needs it: pages that were never handed out cost the host nothing, and the heap
//! takes them in small steps.
#![cfg_attr(not(test), no_std)]

mod cache;
pub mod heap;
pub mod pages;
mod runs;
