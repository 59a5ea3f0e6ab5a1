//! `ampoule stop`, `kill` and `rm`: the end of machines in the background. Each takes several names, does what it can, and
//! says for each what came of it; the status is 1 if one of them failed.

use std::time::{Duration, Instant};

use fleet::{Error, Machine, Name, State, Stopped, Store};

use crate::Failure;
use crate::arguments::{Kill, Rm, Stop};

/// Asks machines to stop, all at once, and kills those that have not after a while.
pub(super) fn stop(arguments: &Stop) -> Result<u8, Failure> {
    let store = store()?;
    let until = Instant::now().checked_add(Duration::from_secs(arguments.timeout));
    // A time that no clock can count to never comes.
    let until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(u32::MAX.into()));
    let ask = |name: &Name| store.find(name).and_then(|machine| machine.ask().map(|()| machine));
    let asked: Vec<Result<Machine, Error>> = arguments.names.iter().map(ask).collect();
    each(asked.into_iter().map(|machine| {
        let machine = machine?;
        if machine.state != State::Running {
            return Ok(already(&machine));
        }
        let name = &machine.record.name;
        Ok(match machine.end(until)? {
            Stopped::ByItself => format!("{name} stopped"),
            Stopped::Killed => format!("{name} killed: it had not stopped after {} s", arguments.timeout),
        })
    }))
}

/// Ends machines at once.
pub(super) fn kill(arguments: &Kill) -> Result<u8, Failure> {
    let store = store()?;
    each(arguments.names.iter().map(|name| {
        let machine = store.find(name)?;
        if machine.state != State::Running {
            return Ok(already(&machine));
        }
        machine.kill().map(|()| format!("{name} killed"))
    }))
}

/// Removes machines that have ended.
pub(super) fn rm(arguments: &Rm) -> Result<u8, Failure> {
    let store = store()?;
    each(arguments.names.iter().map(|name| store.remove(name, arguments.force).map(|()| format!("{name} removed"))))
}

fn store() -> Result<Store, Failure> {
    Ok(Store::open().map_err(anyhow::Error::from)?)
}

fn already(machine: &Machine) -> String {
    match machine.loss() {
        Some(loss) => format!("{} is lost: {loss}", machine.record.name),
        None => format!("{} has ended already", machine.record.name),
    }
}

/// Says what came of each.
fn each(results: impl Iterator<Item = Result<String, Error>>) -> Result<u8, Failure> {
    let mut status = 0;
    for result in results {
        match result {
            Ok(text) => println!("{text}"),
            Err(error) => {
                eprintln!("error: {error}");
                status = 1;
            }
        }
    }
    Ok(status)
}
