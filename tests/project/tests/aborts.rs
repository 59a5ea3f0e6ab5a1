//! A test that takes its whole program along.
#![forbid(unsafe_code)]

#[test]
fn aborts() {
    std::process::abort();
}
