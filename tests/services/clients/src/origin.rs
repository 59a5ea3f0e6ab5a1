//! The server behind the reverse proxy, by axum: pages of so many bytes, and an echo.

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};

/// Serves until its standard input ends, once it has said where.
pub(crate) async fn serve(address: &str) -> Result<()> {
    std::thread::spawn(|| {
        _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("serving on {}", listener.local_addr()?.port());
    let routes = Router::new().route("/{length}", get(page)).route("/echo", post(async |posted: Bytes| posted));
    Ok(axum::serve(listener, routes).await?)
}

async fn page(Path(length): Path<String>) -> Result<String, StatusCode> {
    length.parse().map(|length| "x".repeat(length)).map_err(|_| StatusCode::NOT_FOUND)
}
