//! Every example, and every tiny guest, on every backend, from the same image.
#![forbid(unsafe_code)]

mod attacks;
mod bad_links;
mod book;
mod capture;
mod charts;
mod clock;
mod debugger;
mod examples;
mod failures;
mod fleet;
mod guests;
mod http;
mod input;
mod inspect;
mod jail;
mod libc_table;
mod limits;
mod linux;
mod names;
mod neighbours;
mod peer;
mod project;
mod random;
mod reports;
mod reproducible;
mod services;
mod signed;
mod tap;
mod timeline;
mod trace;

use std::process::ExitCode;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{self, Case, Verdict};
use anyhow::Result;

fn main() -> ExitCode {
    let mut cases = Vec::new();
    cases.extend(examples::cases());
    cases.extend(failures::cases());
    cases.extend(fleet::cases());
    cases.extend(attacks::cases());
    cases.extend(bad_links::cases());
    cases.extend(capture::cases());
    cases.extend(charts::cases());
    cases.extend(clock::cases());
    cases.extend(debugger::cases());
    match guests::cases() {
        Ok(guests) => cases.extend(guests),
        Err(error) => cases.push(Case::new("guests", move || anyhow::bail!("they cannot be listed: {error:#}"))),
    }
    cases.extend(input::cases());
    cases.extend(inspect::cases());
    cases.extend(jail::cases());
    cases.extend(libc_table::cases());
    cases.extend(limits::cases());
    cases.extend(names::cases());
    cases.extend(linux::cases());
    cases.extend(neighbours::cases());
    cases.extend(peer::cases());
    cases.extend(project::cases());
    cases.extend(random::cases());
    cases.extend(reports::cases());
    cases.extend(tap::cases());
    cases.extend(timeline::cases());
    cases.extend(trace::cases());
    cases.extend(reproducible::cases());
    cases.extend(services::cases());
    cases.extend(signed::cases());
    let names = cases.iter().map(|case| case.name.clone()).collect();
    match book::cases(names) {
        Ok(book) => cases.extend(book),
        Err(error) => cases.push(Case::new("the book", move || anyhow::bail!("it cannot be listed: {error:#}"))),
    }
    harness::main(cases)
}

/// The same test on every backend.
fn everywhere(name: &str, run: fn(Backend) -> Result<()>) -> impl Iterator<Item = Case> {
    Backend::ALL.into_iter().map(move |backend| on(backend, name, run))
}

/// A test on one backend.
fn on(backend: Backend, name: &str, run: impl Fn(Backend) -> Result<()> + Send + Sync + 'static) -> Case {
    Case::new(format!("{name} on {backend}"), move || match backend.lacks() {
        Some(reason) => Ok(Verdict::Skipped(reason)),
        None => run(backend).map(|()| Verdict::Passed),
    })
}
