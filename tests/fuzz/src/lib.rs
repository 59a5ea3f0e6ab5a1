//! What is fuzzed: each target is a plain function from bytes to nothing, which panics where something is wrong.
//!
//! The far side of the gate reads what a guest, a user or a file says. Whatever that is, nothing may panic, hang, overflow
//! or touch memory that is not the guest's. cargo-fuzz calls these functions with inputs that it breeds
//! (`fuzz/fuzz_targets`, nightly); `tests/smoke.rs` calls them on stable with the small corpus and mutations of it, so
//! that they are run with every test. Neither needs more than a debug build, whose overflow checks count.

pub mod console;
pub mod files;
pub mod hostnet;
pub mod image;
mod input;
pub mod manifest;
mod memory;
pub mod net;
pub mod requests;
pub mod ring;
pub mod signature;

/// A target's body.
pub type Body = fn(&[u8]);

/// The targets by name; each has a folder in `fuzz/corpus`. (The console's is apart: it writes to descriptors 1 and 2.)
pub const TARGETS: [(&str, Body); 11] = [
    ("ring", ring::check),
    ("hostnet", hostnet::check),
    ("net", net::check),
    ("stack", stack),
    ("image", image::check),
    ("program", image::check_program),
    ("files", files::check),
    ("manifest", manifest::check),
    ("toml", manifest::check_toml),
    ("requests", requests::check),
    ("signature", signature::check),
];

/// Our own TCP/IP under frames that lie.
pub fn stack(data: &[u8]) {
    ::net::testing::check(data);
}
