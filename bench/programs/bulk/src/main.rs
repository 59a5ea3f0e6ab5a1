//! The benchmark's peer for TCP itself. The first byte of a connection says what it is for: `u`: count what comes until the
//! end, and answer with the count; `d`: send until nobody takes it; `e`: send each byte back.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const PIECE: usize = 64 << 10;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8080".into());
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(stream));
    }
    Ok(())
}

/// Ends with the connection, in whichever way that goes.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut purpose = [0];
    stream.read_exact(&mut purpose)?;
    let mut piece = vec![0x5a; PIECE];
    match &purpose {
        b"u" => {
            let mut count = 0u64;
            loop {
                match stream.read(&mut piece)? {
                    0 => return stream.write_all(&count.to_le_bytes()),
                    length => count += length as u64,
                }
            }
        }
        b"d" => loop {
            stream.write_all(&piece)?;
        },
        _ => loop {
            stream.read_exact(&mut piece[..1])?;
            stream.write_all(&piece[..1])?;
        },
    }
}
