//! The tiny guests ([`ampoule_tests::guests`]), each on every backend and with the library OS as a crate and as `libc.a`.

use ampoule_tests::backend::Backend;
use ampoule_tests::guests::{Guest, Way};
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
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
                on(backend, &name, move |backend| run(&guest, way, backend))
            }));
        }
    }
    Ok(cases)
}

fn run(guest: &Guest, way: Way, backend: Backend) -> Result<()> {
    let arguments: Vec<&str> = guest.arguments.iter().map(String::as_str).collect();
    guest.check(Machine::start(&guest.image(way)?, backend, &arguments)?.end()?)
}
