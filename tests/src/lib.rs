//! What the integration tests share: the tool and the images it builds ([`tool`]), running machines ([`machine`], in
//! the background [`fleet`]), the places they run in ([`backend`]), the tiny guests and what is expected of them
//! ([`guests`]), the same programs on Linux ([`linux`]), a bad link between the two ([`relay`]), a browser ([`browser`]),
//! the sources in another folder ([`copy`]), a harness that knows "skipped" ([`harness`]), and a reader of the book who tries
//! everything in it ([`book`]).
//!
//! Every wait has an end, and every port is one that was free a moment ago.
#![forbid(unsafe_code)]

pub mod backend;
pub mod book;
pub mod browser;
pub mod copy;
pub mod fleet;
pub mod guests;
pub mod harness;
pub mod linux;
pub mod machine;
pub mod ports;
pub mod relay;
pub mod tool;
