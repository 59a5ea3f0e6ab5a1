//! A procedural macro: cargo links its unit tests for the compiler's world, and hands them to the same runner.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;

/// The number 42.
#[proc_macro]
pub fn answer(_: TokenStream) -> TokenStream {
    number().parse().unwrap_or_default()
}

fn number() -> String {
    42.to_string()
}

#[test]
fn the_macro_s_own_test() {
    assert_eq!(number(), "42");
}
