//! Nothing: the program is a dependency's, and the manifest in this package's Cargo.toml says so.
#![forbid(unsafe_code)]
