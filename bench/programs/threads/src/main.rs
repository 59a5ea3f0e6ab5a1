//! A minimal HTTP server with a thread for each connection: the benchmark's second subject, beside tokio and axum.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, world!";

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8080".into());
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::Builder::new().stack_size(64 << 10).spawn(move || serve(stream))?;
    }
    Ok(())
}

/// Answers every request until the client closes. A request without a body ends with an empty line.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        let got = stream.read(&mut buffer[filled..])?;
        if got == 0 {
            return Ok(());
        }
        filled += got;
        let requests = buffer[..filled].windows(4).filter(|w| w == b"\r\n\r\n").count();
        for _ in 0..requests {
            stream.write_all(ANSWER)?;
        }
        if requests > 0 || filled == buffer.len() {
            filled = 0;
        }
    }
}
