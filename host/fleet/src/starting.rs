//! When has a machine started? When everything that it is to be reached at can be reached, or it is plain that this takes
//! longer than somebody at a terminal wants to wait.
//!
//! A machine whose port is taken, whose memory is too small or whose program panics at once ends within this time, so the
//! command that started it can say so. A program decides for itself when it listens, and whether it goes on without a port
//! that it did not get; so this can only be a matter of time.

use std::time::{Duration, Instant};

use crate::Protocol;
use crate::link::Event;

/// A machine that listens nowhere has started when it has run for this long; so has one that listens at some of its ports,
/// when no further one comes for this long.
const SETTLE: Duration = Duration::from_millis(250);
/// A machine that did not get a port has this long to end.
const REFUSED: Duration = Duration::from_secs(2);
/// A machine that listens nowhere yet is taken for started after this.
const SLOW: Duration = Duration::from_secs(5);

/// Notes that are kept.
const NOTES_MAX: usize = 64;

/// A machine that starts.
#[derive(Debug)]
pub(crate) struct Starting {
    /// Ports that it is expected to listen at.
    awaited: Vec<(Protocol, u16)>,
    some_are_open: bool,
    some_are_refused: bool,
    /// When it began to run, and when something last happened.
    last: Option<Instant>,
    /// What to tell the operator.
    notes: Vec<String>,
}

impl Starting {
    pub(crate) fn new(awaited: Vec<(Protocol, u16)>) -> Self {
        Self { awaited, some_are_open: false, some_are_refused: false, last: None, notes: Vec::new() }
    }

    /// Takes note of what happens.
    pub(crate) fn hear(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Running { .. } => {}
            Event::Listening(port) => {
                self.awaited.retain(|awaited| *awaited != (port.protocol, port.port));
                self.some_are_open = true;
            }
            Event::Refused { port, text } => {
                self.awaited.retain(|awaited| *awaited != (port.protocol, port.port));
                self.some_are_refused = true;
                if self.notes.len() < NOTES_MAX {
                    self.notes.push(text.clone());
                }
            }
            Event::Report(_) => return,
        }
        self.last = Some(now);
    }

    /// When it counts as started if nothing else happens; `None` before it runs.
    pub(crate) fn due(&self) -> Option<Instant> {
        let after = match (self.some_are_refused, self.some_are_open, self.awaited.is_empty()) {
            (true, ..) => REFUSED,
            (false, true, true) => Duration::ZERO,
            (false, true, false) | (false, false, true) => SETTLE,
            (false, false, false) => SLOW,
        };
        self.last.map(|last| last + after)
    }

    /// What to tell the operator of a machine that counts as started.
    pub(crate) fn notes(&self) -> Vec<String> {
        let late =
            self.awaited.iter().map(|(protocol, port)| format!("it does not listen on {protocol} port {port} yet"));
        self.notes.iter().cloned().chain(late).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Port;

    fn port(number: u16) -> Port {
        Port { protocol: Protocol::Tcp, host: ([127, 0, 0, 1], 1).into(), port: number }
    }

    fn starting(ports: &[u16]) -> (Starting, Instant) {
        let mut starting = Starting::new(ports.iter().map(|port| (Protocol::Tcp, *port)).collect());
        assert_eq!(starting.due(), None, "it does not run yet");
        let start = Instant::now();
        starting.hear(&Event::Running { backend: String::new(), digest: String::new() }, start);
        (starting, start)
    }

    #[test]
    fn one_that_listens_everywhere_has_started() {
        let (mut starting, start) = starting(&[80, 81]);
        assert_eq!(starting.due(), Some(start + SLOW));
        let later = start + Duration::from_millis(3);
        starting.hear(&Event::Listening(port(80)), later);
        assert_eq!(starting.due(), Some(later + SETTLE));
        assert_eq!(starting.notes(), ["it does not listen on tcp port 81 yet"]);
        starting.hear(&Event::Listening(port(81)), later);
        assert_eq!(starting.due(), Some(later));
        assert!(starting.notes().is_empty());
    }

    #[test]
    fn one_that_listens_nowhere_settles() {
        let (mut starting, start) = starting(&[]);
        assert_eq!(starting.due(), Some(start + SETTLE));
        starting.hear(&Event::Report("it faulted".into()), start + SETTLE);
        assert_eq!(starting.due(), Some(start + SETTLE));
    }

    #[test]
    fn one_without_its_port_has_time_to_end() {
        let (mut starting, start) = starting(&[80, 81]);
        starting.hear(&Event::Refused { port: port(80), text: "taken".into() }, start);
        starting.hear(&Event::Listening(port(81)), start);
        assert_eq!(starting.due(), Some(start + REFUSED));
        assert_eq!(starting.notes(), ["taken"]);
    }
}
