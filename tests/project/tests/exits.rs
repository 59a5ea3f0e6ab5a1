//! A test that ends its program with a status of its own.
#![forbid(unsafe_code)]

#[test]
fn exits() {
    std::process::exit(7);
}
