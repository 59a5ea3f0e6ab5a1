//! From the start of a server to its first HTTP answer.
//!
//! A new connection is tried every two milliseconds and none is given up before its time, because nobody says when the
//! server's network is there: a request for a connection that came too early would be sent again after a second.

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::Running;

/// Between two attempts to connect.
const STEP: Duration = Duration::from_millis(2);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// Connections under way at the same time.
const PENDING: usize = 400;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

/// A connection under way.
struct Attempt {
    stream: TcpStream,
    has_asked: bool,
}

/// Starts the server and gives the milliseconds until it has answered; then ends it.
pub fn measure(server: SocketAddr, command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let mut attempts: Vec<Option<Attempt>> = Vec::new();
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let mut running = Running(child);
    let mut next = start;
    loop {
        let now = Instant::now();
        if now - start > PATIENCE {
            bail!("no answer within {} s", PATIENCE.as_secs());
        }
        if now >= next {
            if running.has_ended()? {
                bail!("{:?} ended before it answered", command.get_program());
            }
            // Refused on the spot, or no way there yet: the next one comes soon.
            if attempts.iter().flatten().count() < PENDING
                && let Ok(mut stream) = TcpStream::connect(server)
            {
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(attempts.len()), interest)?;
                attempts.push(Some(Attempt { stream, has_asked: false }));
            }
            next += STEP;
        }
        match poll
            .poll(&mut events, Some(next.saturating_duration_since(Instant::now()).max(Duration::from_micros(100))))
        {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            let slot = &mut attempts[event.token().0];
            let Some(attempt) = slot else { continue };
            match attempt.go_on() {
                Ok(true) => return Ok(start.elapsed().as_secs_f64() * 1e3),
                Ok(false) => {}
                Err(Failure::Connection) => *slot = None,
                Err(Failure::Answer(answer)) => bail!("the server answered {answer}"),
            }
        }
    }
}

/// Why an attempt has come to nothing.
enum Failure {
    /// There was no connection, or it broke.
    Connection,
    /// There was an answer, and it was wrong.
    Answer(String),
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Failure::Connection
    }
}

impl Attempt {
    /// Asks once connected, and reads; true when the answer is there.
    fn go_on(&mut self) -> Result<bool, Failure> {
        if !self.has_asked {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            match self.stream.write(REQUEST) {
                Ok(_) => self.has_asked = true,
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::NotConnected].contains(&error.kind()) => {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut answer = [0; 12];
        match self.stream.read(&mut answer) {
            Ok(12) if &answer == b"HTTP/1.1 200" => Ok(true),
            Ok(0) => Err(Failure::Connection),
            Ok(length) => Err(Failure::Answer(String::from_utf8_lossy(&answer[..length]).into_owned())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
