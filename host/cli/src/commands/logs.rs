//! `ampoule logs`: what a machine in the background has printed.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use fleet::Store;
use fleet::log::Reader;

use crate::Failure;
use crate::arguments::Logs;

/// How often one who follows looks for more.
const LOOK: Duration = Duration::from_millis(50);

/// Shows it; follows until the machine ends, if that is wanted.
pub(super) fn perform(arguments: &Logs) -> Result<u8, Failure> {
    let machine = Store::open().and_then(|store| store.find(&arguments.name)).map_err(anyhow::Error::from)?;
    let mut log = machine.log().map_err(anyhow::Error::from)?;
    loop {
        // In this order: what it printed last is there before it has ended.
        let has_ended = !arguments.follow || machine.has_ended(Instant::now() + LOOK);
        if !pass(&mut log)? || has_ended {
            return Ok(0);
        }
    }
}

/// Passes on what there is; false where nobody reads it any more.
fn pass(log: &mut Reader) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = log.read(&mut piece).context("cannot read the log")?;
        let written = out.write_all(piece.get(..length).unwrap_or_default()).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
            written => written.context("cannot write to standard output")?,
        }
        if length == 0 {
            return Ok(true);
        }
    }
}
