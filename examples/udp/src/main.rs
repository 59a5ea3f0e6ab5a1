//! Sends back every datagram, to whoever sent it.
//!
//! `udp [ADDRESS]`; try `nc -u 127.0.0.1 7001`.

use std::io;
use std::net::UdpSocket;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:7001".into());
    let socket = UdpSocket::bind(&address)?;
    println!("echoing on {}", socket.local_addr()?);
    let mut buffer = [0; 65536];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        if let Err(error) = socket.send_to(&buffer[..length], from) {
            eprintln!("no answer to {from}: {error}");
        }
    }
}
