//! Sends back what it gets over TCP, with nothing but std: a thread a connection.
//!
//! `echo [ADDRESS]`; try `nc 127.0.0.1 7000`.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:7000".into());
    let listener = TcpListener::bind(&address)?;
    println!("echoing on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        let spawned = thread::Builder::new().stack_size(64 << 10).spawn(move || {
            if let Err(error) = echo(stream) {
                eprintln!("connection lost: {error}");
            }
        });
        if let Err(error) = spawned {
            eprintln!("connection refused: no thread for it: {error}");
        }
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}
