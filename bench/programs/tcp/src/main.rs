//! The benchmark's bare TCP: a port that takes bytes, one that gives them, one that gives back what it gets. Each
//! connection has a thread.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Bytes of one call.
const PART: usize = 64 << 10;

fn main() -> std::io::Result<()> {
    let takes = listen(5001, take)?;
    let gives = listen(5002, give)?;
    let echoes = listen(5003, echo)?;
    println!("listening");
    for thread in [takes, gives, echoes] {
        thread.join().expect("a listener does not panic");
    }
    Ok(())
}

fn listen(port: u16, serve: fn(TcpStream) -> std::io::Result<()>) -> std::io::Result<thread::JoinHandle<()>> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    Ok(thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    }))
}

/// Takes bytes to their end, and then says how many there were.
fn take(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; PART];
    let mut bytes = 0u64;
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.write_all(&bytes.to_le_bytes()),
            got => bytes += got as u64,
        }
    }
}

/// Reads how many bytes are wanted, and gives them.
fn give(mut stream: TcpStream) -> std::io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted)?;
    let mut left = u64::from_le_bytes(wanted);
    let buffer = vec![7; PART];
    while left > 0 {
        let part = left.min(PART as u64) as usize;
        stream.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            got => stream.write_all(&buffer[..got])?,
        }
    }
}
