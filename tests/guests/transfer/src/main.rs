//! One connection that carries many bytes, each of which says where it belongs, so that one that is missing, double or
//! wrong is seen where it is. `serve PORT` waits for it, `ask ADDRESS:PORT up|down BYTES` makes it: to the server, or from
//! it. Either runs in a machine and on Linux, so that each can be the other's peer. Without arguments: 2.
#![forbid(unsafe_code)]

#[cfg(feature = "line")]
use ampoule as _;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Bytes that are made or looked at at once.
const PIECE: usize = 64 << 10;
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", port] => serve(port),
        ["ask", server, way, bytes] => ask(server, way, bytes),
        _ => {
            println!("guest-transfer serve PORT | ask ADDRESS:PORT up|down BYTES");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Byte number `at` of every stream: no stretch of it is like another, as far as a link could mix them up.
fn byte(at: u64) -> u8 {
    ((at ^ at >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn other(text: String) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}

/// Sends so many bytes, and the end.
fn send(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let mut piece = Vec::with_capacity(PIECE);
    for start in (0..bytes).step_by(PIECE) {
        piece.clear();
        piece.extend((start..bytes.min(start + PIECE as u64)).map(byte));
        stream.write_all(&piece)?;
    }
    stream.shutdown(Shutdown::Write)
}

/// Takes what comes until the end, looks at each byte, and gives their number.
fn receive(stream: &mut TcpStream) -> Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Ok(at);
        }
        for value in &piece[..length] {
            if *value != byte(at) {
                return Err(other(format!("byte {at} is {value}, not {}", byte(at))));
            }
            at += 1;
        }
    }
}

fn prepared(stream: TcpStream) -> Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn serve(port: &str) -> Result<()> {
    let port: u16 = port.parse().map_err(|_| other(format!("{port} is no port")))?;
    // Both families.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    println!("serving on {port}");
    for stream in listener.incoming() {
        let stream = prepared(stream?)?;
        std::thread::spawn(move || {
            if let Err(error) = attend(stream) {
                println!("a connection failed: {error}");
            }
        });
    }
    Ok(())
}

/// The first nine bytes are the direction and the length; a transfer to us is answered with how much of it was right.
fn attend(mut stream: TcpStream) -> Result<()> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [way, length @ ..] = head;
    match way {
        b'd' => send(&mut stream, u64::from_le_bytes(length)),
        _ => {
            let count = receive(&mut stream)?;
            stream.write_all(&count.to_le_bytes())
        }
    }
}

fn ask(server: &str, way: &str, bytes: &str) -> Result<()> {
    let bytes: u64 = bytes.parse().map_err(|_| other(format!("{bytes} is no number of bytes")))?;
    let mut stream = prepared(TcpStream::connect(server)?)?;
    let start = Instant::now();
    let mut head = [0; 9];
    head[0] = if way == "down" { b'd' } else { b'u' };
    head[1..].copy_from_slice(&bytes.to_le_bytes());
    stream.write_all(&head)?;
    let arrived = match way {
        "down" => receive(&mut stream)?,
        _ => {
            send(&mut stream, bytes)?;
            let mut count = [0; 8];
            stream.read_exact(&mut count)?;
            u64::from_le_bytes(count)
        }
    };
    if arrived != bytes {
        return Err(other(format!("{arrived} of {bytes} bytes have arrived")));
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{way}: {bytes} bytes are right, {seconds:.2} s, {:.1} MB/s", bytes as f64 / 1e6 / seconds);
    Ok(())
}
