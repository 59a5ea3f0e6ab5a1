//! The console's target: alone in its process, because it takes the standard descriptors away from everybody.

mod common;

use ampoule_fuzz_bodies::console::{Aside, check};

#[test]
fn console() {
    let _aside = Aside::new().expect("other descriptors");
    common::smoke("console", check, 6_000);
}
