//! The other end of `bench/programs/bulk`: one connection's throughput each way, and its round trips.

use crate::sample::Samples;
use anyhow::{Result, bail};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PIECE: usize = 64 << 10;
/// How long one call may take before the run counts as broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Bytes to the server, in 10^6 a second.
    Up,
    /// Bytes from the server, in 10^6 a second.
    Down,
    /// A byte there and back, median, in µs.
    Echo,
}

impl Purpose {
    /// By its word on the command line.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "up" => Some(Purpose::Up),
            "down" => Some(Purpose::Down),
            "echo" => Some(Purpose::Echo),
            _ => None,
        }
    }

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Up => "up",
            Purpose::Down => "down",
            Purpose::Echo => "echo",
        }
    }
}

/// Measures for about `duration`.
pub fn run(server: SocketAddr, purpose: Purpose, duration: Duration) -> Result<f64> {
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(2))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut piece = vec![0xa5; PIECE];
    let start = Instant::now();
    let rate = |bytes: u64| bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    match purpose {
        Purpose::Up => {
            stream.write_all(b"u")?;
            let mut sent = 0u64;
            while start.elapsed() < duration {
                stream.write_all(&piece)?;
                sent += piece.len() as u64;
            }
            stream.shutdown(Shutdown::Write)?;
            let mut count = [0; 8];
            stream.read_exact(&mut count)?;
            // Everything has arrived by now, what lay in buffers too.
            let (arrived, rate) = (u64::from_le_bytes(count), rate(sent));
            if arrived != sent {
                bail!("{arrived} of {sent} bytes have arrived");
            }
            Ok(rate)
        }
        Purpose::Down => {
            stream.write_all(b"d")?;
            let mut got = 0u64;
            while start.elapsed() < duration {
                match stream.read(&mut piece)? {
                    0 => bail!("the server has closed"),
                    length if piece[..length].iter().any(|byte| *byte != 0x5a) => bail!("other bytes than were sent"),
                    length => got += length as u64,
                }
            }
            Ok(rate(got))
        }
        Purpose::Echo => {
            stream.write_all(b"e")?;
            let mut times = Samples::default();
            while start.elapsed() < duration {
                let before = Instant::now();
                stream.write_all(b"x")?;
                stream.read_exact(&mut piece[..1])?;
                times.push(before.elapsed().as_secs_f64() * 1e6);
            }
            Ok(times.median())
        }
    }
}
