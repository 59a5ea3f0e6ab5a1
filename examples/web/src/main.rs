//! A web page, served by tokio and axum: an ordinary program, with no line in it that knows where it will run.
//!
//! `web [ADDRESS]`; `GET /` is a page, `GET /healthz` says `ok`. SIGTERM or Ctrl-C: it finishes what it is serving, then
//! ends.

use std::io;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(worker_threads = 2)]
pub async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8080".into());
    let app =
        Router::new().route("/", get(async || Html(include_str!("page.html")))).route("/healthz", get(async || "ok\n"));
    let stop = stop()?;
    let listener = TcpListener::bind(&address).await?;
    println!("serving on {}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    println!("stopped");
    Ok(())
}

/// Ends when the operator asks the program to stop.
fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
