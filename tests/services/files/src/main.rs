//! A file server by tower-http: what is in the folder that the command line names, with types, ranges and dates.
#![forbid(unsafe_code)]

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::services::ServeDir;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: files FOLDER")?;
    let listener = TcpListener::bind(("0.0.0.0", 8080)).await?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("serving {folder} on 8080");
    let stopped = async move { _ = stop.recv().await };
    axum::serve(listener, Router::new().fallback_service(ServeDir::new(folder)))
        .with_graceful_shutdown(stopped)
        .await?;
    println!("stopped");
    Ok(())
}
