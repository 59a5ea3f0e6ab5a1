//! `std::io::Error`: kinds and texts of every errno.

use crate::{Case, said, saw};
use std::error::Error as _;
use std::io::{Error, ErrorKind};

pub(crate) const CASES: &[Case] = &[("io::Error of every errno", errnos), ("io::Error made by programs", made)];

fn errnos() {
    for code in (0..=140).chain([200, 511, 512, 530, 4095, 4096, 99_999, i32::MAX, -1, -11, i32::MIN]) {
        saw!(code, said(&Error::from_raw_os_error(code)));
    }
}

fn made() {
    let error = Error::new(ErrorKind::InvalidData, "a text of ours");
    saw!("display", error.to_string());
    saw!("debug", format!("{error:?}"));
    saw!("raw", (error.raw_os_error(), error.get_ref().map(|e| e.to_string())));
    saw!("into_inner", error.into_inner().map(|e| e.to_string()));
    saw!("other", Error::other("another").kind());
    let nested = Error::other(Error::from_raw_os_error(2));
    saw!("source", (nested.to_string(), nested.source().is_some()));
    for kind in [ErrorKind::NotFound, ErrorKind::TimedOut, ErrorKind::Unsupported, ErrorKind::WriteZero] {
        saw!(format!("{kind:?}"), Error::from(kind).to_string());
    }
    saw!("last_os_error after a success", Error::last_os_error().raw_os_error().is_some());
    saw!("debug of an errno", format!("{:?}", Error::from_raw_os_error(13)));
    saw!("downcast", Error::other(5u8.to_string()).downcast::<std::fmt::Error>().is_err());
}
