//! Walks the socket calls over the machine's own loopback, and prints what each says. Run on Linux (`cargo run
//! --no-default-features -p guest-sockets`) it prints the same lines; the test compares them.

#[cfg(feature = "line")]
use ampoule as _;

mod calls;
mod errors;
mod messages;
mod options;
mod streams;

fn main() {
    options::walk();
    errors::walk();
    streams::walk();
    messages::walk();
    println!("done");
}
