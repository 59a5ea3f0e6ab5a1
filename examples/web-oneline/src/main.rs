//! The web example, built the other way: the very same source, and one line.
//!
//! The line makes the library OS a crate of the program, so that link-time optimisation crosses program, std and OS,
//! and what the program cannot reach falls away. On Linux the line means nothing.

use ampoule as _;

#[path = "../../web/src/main.rs"]
mod web;

fn main() -> std::io::Result<()> {
    web::main()
}
