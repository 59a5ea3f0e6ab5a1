//! The client of `bench/programs/tcp`: bulk both ways, and one small question after the other.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Towards the server, in MB (10⁶ bytes) a second.
    pub there: f64,
    /// From the server.
    pub back: f64,
    /// From a question of 64 bytes to its answer, median, in µs.
    pub latency_us: f64,
}

const QUESTION: usize = 64;
const PART: usize = 64 << 10;

/// Measures `server` with so many bytes each way, and for so long a time.
pub fn run(server: IpAddr, bytes: u64, asking: Duration) -> Result<Report> {
    // What connects first pays for neighbours and memory that are not there yet.
    let latency_us = ask(server, Duration::from_millis(300)).and_then(|_| ask(server, asking))?;
    give(server, bytes / 8)?;
    let there = give(server, bytes)?;
    take(server, bytes / 8)?;
    let back = take(server, bytes)?;
    Ok(Report { there, back, latency_us })
}

fn connect(server: IpAddr, port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(server, port).into(), Duration::from_secs(5))
        .with_context(|| format!("cannot connect to {server}:{port}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends; the time ends with the server's word that it has all.
fn give(server: IpAddr, bytes: u64) -> Result<f64> {
    let mut stream = connect(server, 5001)?;
    let buffer = vec![7; PART];
    let start = Instant::now();
    for _ in 0..bytes / PART as u64 {
        stream.write_all(&buffer)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut taken = [0; 8];
    stream.read_exact(&mut taken).context("the server does not say what it took")?;
    let sent = bytes / PART as u64 * PART as u64;
    if u64::from_le_bytes(taken) != sent {
        bail!("the server took {} bytes of {sent}", u64::from_le_bytes(taken));
    }
    Ok(sent as f64 / start.elapsed().as_secs_f64() / 1e6)
}

fn take(server: IpAddr, bytes: u64) -> Result<f64> {
    let mut stream = connect(server, 5002)?;
    let mut buffer = vec![0; PART];
    let start = Instant::now();
    stream.write_all(&bytes.to_le_bytes())?;
    let mut got = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            part => got += part as u64,
        }
    }
    if got != bytes {
        bail!("the server gave {got} bytes of {bytes}");
    }
    Ok(got as f64 / start.elapsed().as_secs_f64() / 1e6)
}

fn ask(server: IpAddr, asking: Duration) -> Result<f64> {
    let mut stream = connect(server, 5003)?;
    let mut samples = Vec::with_capacity(1 << 16);
    let end = Instant::now() + asking;
    let mut buffer = [1; QUESTION];
    while Instant::now() < end {
        let start = Instant::now();
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
    }
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().context("no answer at all")
}
