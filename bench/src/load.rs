//! An HTTP/1.1 load generator: a fixed number of keep-alive connections, one request under way on each.
//!
//! The answer's length is learnt from the first one on each connection (head and `content-length`); after that answers are
//! counted by their bytes, so that the generator costs less than any server it measures.

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// All answers, those while it warmed up among them.
    pub answers: u64,
    /// Answers a second.
    pub rate: f64,
    /// The time from request to answer, µs: 50, 90, 99, 99.9 % of them are not longer.
    pub latencies_us: [f64; 4],
}

struct Connection {
    stream: TcpStream,
    answer_length: Option<usize>,
    received: Vec<u8>,
    pending: usize,
    sent_at: Instant,
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// Runs `connections` connections against `server` for `duration` after `warm_up`.
pub fn run(server: SocketAddr, connections: usize, warm_up: Duration, duration: Duration) -> Result<Report> {
    let mut poll = Poll::new()?;
    let mut all = Vec::with_capacity(connections);
    for index in 0..connections {
        let mut stream = connect(server)?;
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        stream.write_all(REQUEST)?;
        all.push(Connection { stream, answer_length: None, received: Vec::new(), pending: 0, sent_at: Instant::now() });
    }
    let mut events = Events::with_capacity(connections.max(16));
    let mut latencies = Vec::with_capacity(1 << 20);
    let mut answers = 0;
    let start = Instant::now() + warm_up;
    let end = start + duration;
    let mut buffer = vec![0; 64 << 10];
    loop {
        poll.poll(&mut events, Some(Duration::from_millis(500)))?;
        let now = Instant::now();
        if now >= end {
            break;
        }
        if events.is_empty() && now > start + Duration::from_secs(5) && latencies.is_empty() {
            bail!("no answer for five seconds");
        }
        for event in &events {
            let connection = &mut all[event.token().0];
            if connection.drain(&mut buffer)? {
                answers += 1;
                let now = Instant::now();
                if now >= start {
                    latencies.push(now.duration_since(connection.sent_at).as_secs_f64() * 1e6);
                }
                connection.sent_at = now;
                connection.stream.write_all(REQUEST)?;
            }
        }
    }
    latencies.sort_by(f64::total_cmp);
    if latencies.is_empty() {
        bail!("no answer at all");
    }
    let at = |fraction: f64| latencies[((latencies.len() - 1) as f64 * fraction) as usize];
    let rate = latencies.len() as f64 / duration.as_secs_f64();
    Ok(Report { answers, rate, latencies_us: [at(0.5), at(0.9), at(0.99), at(0.999)] })
}

impl Connection {
    /// Reads what is there; true when the answer under way is complete.
    fn drain(&mut self, buffer: &mut [u8]) -> Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed a keep-alive connection"),
                Ok(n) => {
                    if self.answer_length.is_none() {
                        self.received.extend_from_slice(&buffer[..n]);
                        self.answer_length = answer_length(&self.received)?;
                    }
                    self.pending += n;
                    match self.answer_length {
                        Some(length) if self.pending == length => {
                            self.pending = 0;
                            return Ok(true);
                        }
                        Some(length) if self.pending > length => bail!("an answer is longer than the first one was"),
                        _ => {}
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("reading an answer"),
            }
        }
    }
}

fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = std::net::TcpStream::connect_timeout(&server, Duration::from_secs(5))
        .with_context(|| format!("cannot connect to {server}"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// The length of the whole answer, once its head is complete.
fn answer_length(received: &[u8]) -> Result<Option<usize>> {
    let Some(head_end) = received.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&received[..head_end]).context("the answer's head is not text")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("the server answered: {}", head.lines().next().unwrap_or(""));
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").and_then(|v| v.trim().parse::<usize>().ok())
        })
        .context("the answer names no content-length")?;
    Ok(Some(head_end + 4 + length))
}
