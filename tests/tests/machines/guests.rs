//! The tiny guests ([`ampoule_tests::guests`]), each on every backend and with the library OS as a crate and as `libc.a`.

use ampoule_tests::backend::Backend;
use ampoule_tests::guests::{Guest, Way};
use ampoule_tests::harness::Case;
use anyhow::Result;

use crate::on;

pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for guest in Guest::all()? {
        for way in Way::ALL.into_iter().filter(|way| guest.goes(*way)) {
            let backends = Backend::ALL.into_iter().filter(|backend| guest.is_for(*backend));
            cases.extend(backends.map(|backend| {
                let guest = guest.clone();
                let name = format!("guest {} by {}", guest.name, way.name());
                on(backend, &name, move |backend| guest.run(way, backend))
            }));
        }
    }
    Ok(cases)
}
