//! What is built otherwise in a traced image (`ampoule run --trace`).
//!
//! The linker leads each traced C symbol that the program refers to through a function of `os/trace` (`--wrap`). It can do
//! so only where there is a reference: so nothing may be inlined across the line between the program and its library OS,
//! and link-time optimisation is off. The library OS's calls of its own C functions are led there too; `os/trace` knows them
//! by the program's call that they are a part of.

use std::process::Command;

use abi::manifest::Manifest;
use abi::trace::CALLS;
use anyhow::{Context, Result};

use super::c_symbols;
use super::sources::Sources;

/// Where `syscall` instructions end up, instead of in `ampoule_syscall`.
pub(super) const RAW_SYSTEM_CALLS: &str = "-Wl,--defsym=ampoule_syscall_entry=ampoule_syscall_traced";

/// What a traced image has more of memory than its manifest says, in bytes: it is larger. (Under q35 the BIOS has its own data
/// at the end of memory, over an image that reaches so far.)
const MORE_MEMORY: u64 = 8 << 20;

/// Says in the manifest that the image is traced.
pub(super) fn mark(manifest: &mut Manifest) {
    manifest.traced = Some(true);
    manifest.memory = manifest.memory.saturating_add(MORE_MEMORY);
}

/// Flags for the last link: a pair of functions for each symbol. One that the library OS does not offer may be the program's
/// own, and is left alone.
pub(super) fn wraps(sources: &Sources) -> Result<Vec<String>> {
    let libc = sources.libc();
    let offered = c_symbols::offered(&libc).with_context(|| format!("cannot read {}", libc.display()))?;
    let traced = CALLS.iter().map(|call| call.symbol).filter(|symbol| offered.contains(*symbol));
    Ok(traced.map(|symbol| format!("-Clink-arg=-Wl,--wrap={symbol}")).collect())
}

/// Has cargo leave program, std and library OS as they were compiled.
pub(super) fn keep_apart(cargo: &mut Command) {
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_traced_symbols_are_offered() {
        let sources = Sources::find().expect("this tree");
        let flags = wraps(&sources).expect("its sources");
        let missing = |symbol: &&str| !flags.iter().any(|flag| flag.ends_with(&format!("={symbol}")));
        let missing: Vec<&str> = CALLS.iter().map(|call| call.symbol).filter(missing).collect();
        assert_eq!(missing, ["futex"], "a system call that has no C function");
    }
}
