//! An example that has a test.
#![forbid(unsafe_code)]

fn main() {
    println!("{}", greeting());
}

fn greeting() -> &'static str {
    "hello"
}

#[test]
fn the_example_s_own_test() {
    assert_eq!(greeting(), "hello");
}
