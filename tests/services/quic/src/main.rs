//! An echo over QUIC by quinn: `quic serve PORT` answers every stream and every datagram with what came, `quic ask HOST:PORT`
//! sends on many streams of several connections at once, and compares.
//!
//! The server's certificate is made at its start and nobody has vouched for it, so the client takes any.
#![forbid(unsafe_code)]

mod ask;
mod serve;

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", port] => serve::serve(port.parse()?).await,
        ["ask", server] => ask::ask(server).await,
        _ => Err("usage: quic serve PORT | quic ask HOST:PORT".into()),
    }
}
