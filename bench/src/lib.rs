//! What `cargo xtask bench` measures with: start-up times, an HTTP load generator, and a Linux guest to compare with.
//!
//! Everything is a ratio of things measured side by side in one run, because the machines this runs on are shared. Nothing
//! here is a test; a slow result is reported, never failed.
#![forbid(unsafe_code)]

pub mod activity;
pub mod answer;
pub mod ask;
pub mod bulk;
pub mod command;
pub mod computer;
pub mod cpio;
pub mod datagrams;
pub mod fleet;
pub mod line;
pub mod linux_guest;
pub mod load;
pub mod namespace;
pub mod parts;
pub mod randomness;
pub mod report;
pub mod results;
pub mod sample;
pub mod smaps;
pub mod suite;
