//! Attacks on the seal, one a run: the first argument names it, and without one the names are listed.
//!
//! The guest says `target` and an address before it touches one, so that whoever watches can compare it with the report.
//! An attack that is refused says so and ends with 0; one that goes through says so and ends with 3, which no test wants.
//! `tests/tests/machines/attacks.rs` has what must happen instead, on every backend.

#[cfg(feature = "line")]
mod devices;
#[cfg(feature = "line")]
mod gate;
#[cfg(feature = "line")]
mod instructions;
#[cfg(feature = "line")]
mod places;
#[cfg(feature = "line")]
mod tender;

#[cfg(feature = "line")]
use ampoule as _;

/// What an attack is given: its arguments.
#[cfg(feature = "line")]
type Attack = fn(&[String]);

/// The attacks, as they are called, with their arguments.
#[cfg(feature = "line")]
const ATTACKS: &[(&str, Attack)] = &[
    ("read PLACE", places::read),
    ("write PLACE", places::write),
    ("run PLACE", places::run),
    ("overflow", places::overflow),
    ("instruction NAME", instructions::execute),
    ("tables", instructions::tables),
    ("system-call", instructions::system_call),
    ("writable-code", gate::writable_code),
    ("writable-code-later", gate::writable_code_later),
    ("over-the-image", gate::over_the_image),
    ("gate-arguments", gate::arguments),
    ("gate-exit", gate::exit),
    ("gate-log LENGTH", gate::log),
    ("backtrace PLACE", gate::backtrace),
    ("short-slices", gate::short_slices),
    ("bad-upcall", gate::bad_upcall),
    ("forged-fault", gate::forged_fault),
    ("forged-events", gate::forged_events),
    ("doorbells", devices::doorbells),
    ("ring KIND QUEUE", devices::ring),
    ("device-writes PLACE", devices::writes),
    ("tender-call NUMBER", tender::call),
    ("tender-messages", tender::messages),
    ("tender-overwrite", tender::overwrite),
    ("where", places::say),
];

#[cfg(feature = "line")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        ATTACKS.iter().for_each(|(attack, _)| println!("{attack}"));
        return;
    };
    let attack = ATTACKS.iter().find(|(attack, _)| attack.split(' ').next() == Some(name)).expect("an attack's name");
    println!("before");
    attack.1(rest);
    println!("it went through");
    std::process::exit(3);
}

/// Says that the attack was refused, and how; ends with 0.
#[cfg(feature = "line")]
fn refused(how: std::fmt::Arguments<'_>) -> ! {
    println!("refused: {how}");
    std::process::exit(0);
}

#[cfg(not(feature = "line"))]
fn main() {}
