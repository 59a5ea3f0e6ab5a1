//! The parent: serves what the child may not do itself, passes signals on, and sees the machine to its end.

use super::message::{Head, Kind, MESSAGE_MAX};
use super::os::{self, Child, Fate, Got, Signals};
use super::signals::NUDGE;
use crate::{Error, Options, Outcome, Program};
use abi::vcpu::{EVENT_INTERRUPT, EVENT_STOP};
use std::os::fd::{AsFd, OwnedFd};

/// The machine's other half.
pub(crate) struct Parent<'a> {
    options: &'a Options,
    child: Child,
    control: OwnedFd,
    signals: Signals,
    /// A first signal was passed on; the next one ends the machine.
    asked_to_stop: bool,
    report: Option<String>,
    buffer: Vec<u8>,
}

impl<'a> Parent<'a> {
    pub(crate) fn new(
        _program: &Program<'_>,
        options: &'a Options,
        child: Child,
        control: OwnedFd,
        signals: Signals,
    ) -> Self {
        Self { options, child, control, signals, asked_to_stop: false, report: None, buffer: vec![0; MESSAGE_MAX] }
    }

    /// Stays with the machine until it ends.
    pub(crate) fn stay(mut self) -> Result<Outcome, Error> {
        loop {
            let watched = [self.child.handle.as_fd(), self.control.as_fd(), self.signals.handle.as_fd()];
            let ready = os::poll(&watched, self.options.preempt_ns);
            if self.options.preempt_ns.is_some() {
                self.child.signal(NUDGE);
            }
            while let Some(signal) = self.signals.next() {
                if let Some(outcome) = self.pass_on(signal)? {
                    return Ok(outcome);
                }
            }
            self.listen();
            if ready.first() == Some(&true) {
                let fate = self.child.wait()?;
                self.listen();
                return Ok(self.outcome(fate));
            }
        }
    }

    /// The first signal is the guest's; the second one ends the machine.
    fn pass_on(&mut self, signal: i32) -> Result<Option<Outcome>, Error> {
        if self.asked_to_stop {
            self.child.signal(libc::SIGKILL);
            self.child.wait()?;
            return Ok(Some(Outcome { status: 128 + signal as u8, report: None }));
        }
        self.asked_to_stop = true;
        let bit = if signal == libc::SIGINT { EVENT_INTERRUPT } else { EVENT_STOP };
        let head = Head { value: (bit >> 32) as u32, ..Head::new(Kind::Events) };
        os::send(self.control.as_fd(), &[&head.bytes()], None);
        // It may be busy in the program: a slice brings it to its scheduler.
        self.child.signal(NUDGE);
        Ok(None)
    }

    /// Deals with everything that the child has said.
    fn listen(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Got::Message(length) = os::receive(self.control.as_fd(), &mut buffer) {
            if let Some((head, body)) = buffer.get(..length).and_then(Head::split) {
                self.hear(head, body);
            }
        }
        self.buffer = buffer;
    }

    fn hear(&mut self, head: Head, body: &[u8]) {
        match Kind::of(head.kind) {
            Some(Kind::Report) => {
                let text = String::from_utf8_lossy(body).into_owned();
                eprintln!("ampoule: the machine ended: {text}");
                self.report = Some(text);
            }
            Some(Kind::Backtrace) => {
                for (number, frame) in body.as_chunks::<8>().0.iter().enumerate() {
                    eprintln!("  {number:>3}: {:#x}", u64::from_le_bytes(*frame));
                }
                self.answer(Head::new(Kind::Done), &[]);
            }
            _ => {}
        }
    }

    fn answer(&self, head: Head, body: &[u8]) {
        os::send(self.control.as_fd(), &[&head.bytes(), body], None);
    }

    fn outcome(&mut self, fate: Fate) -> Outcome {
        match fate {
            Fate::Exited(status) => Outcome { status, report: self.report.take() },
            Fate::Killed(signal) => {
                let report = self.report.take().unwrap_or_else(|| {
                    let text = killed(signal);
                    eprintln!("ampoule: the machine ended: {text}");
                    text
                });
                Outcome { status: (128 + signal) as u8, report: Some(report) }
            }
        }
    }
}

fn killed(signal: i32) -> String {
    match signal {
        libc::SIGSYS => "it made a system call that its manifest does not give it".into(),
        libc::SIGKILL => "it was killed from outside (by an operator, or by the host running out of memory)".into(),
        _ => format!("signal {signal} killed it"),
    }
}
