//! Clients that others wrote, each driving one of the services from the host: `clients NAME HOST:PORT`.
//!
//! `clients origin ADDRESS:PORT` is the server that the reverse proxy leads to. Each is a crowd of [`CROWD`] at once. It ends with 0 and a line that says what it did, or with 1 and what went wrong.
#![forbid(unsafe_code)]

mod http;
mod mqtt;
mod names;
mod origin;
mod redis;
mod room;
mod rpc;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

/// Clients at once.
const CROWD: usize = 32;
/// How long a crowd may take in all. An emulated machine is slow.
const PATIENCE: Duration = Duration::from_secs(50);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, server] = &arguments[..] else { bail!("usage: clients NAME HOST:PORT") };
    if name == "origin" {
        return origin::serve(server).await;
    }
    let said = tokio::time::timeout(PATIENCE, drive(name, server)).await;
    println!("{CROWD} clients: {}", said.with_context(|| format!("not done after {PATIENCE:?}"))??);
    Ok(())
}

async fn drive(name: &str, server: &str) -> Result<String> {
    match name {
        "actix" => http::counters(server).await,
        "chat" => room::chat(server).await,
        "files" => http::files(server).await,
        "grpc" => rpc::health(server).await,
        "hickory-dns" => names::dns(server).await,
        "metrics" => http::metrics(server).await,
        "mini-redis" => redis::redis(server).await,
        "proxy" => http::pages(server).await,
        "rumqttd" => mqtt::mqtt(server).await,
        _ => bail!("no client for {name}"),
    }
}

/// Runs as many as a crowd at once; all must succeed.
async fn crowd<F>(client: impl Fn(usize) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut clients = JoinSet::new();
    for number in 0..CROWD {
        clients.spawn(client(number));
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}
