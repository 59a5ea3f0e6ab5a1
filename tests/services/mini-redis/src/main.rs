//! tokio's small Redis server on all addresses. (The program that its crate brings along serves 127.0.0.1 alone, which in a
//! machine is the machine itself.)
#![forbid(unsafe_code)]

use mini_redis::server;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> mini_redis::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 6379)).await?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("serving on 6379");
    server::run(listener, stop.recv()).await?;
    println!("stopped");
    Ok(())
}
