//! Clients that others wrote, each driving one of the services from the host: `clients NAME HOST:PORT`.
//!
//! `clients origin ADDRESS:PORT` is the server that the reverse proxy leads to. Each is a crowd of [`CROWD`] at once, and behind
//! it somebody who does not keep to the protocol, after whom the service is to serve on. It ends with 0 and a line that says
//! what it did, or with 1 and what went wrong.
#![forbid(unsafe_code)]

mod calls;
mod files;
mod metrics;
mod mqtt;
mod names;
mod origin;
mod pages;
mod quic;
mod redis;
mod room;
mod rude;
mod tasks;

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
        "actix" => calls::calls(server).await,
        "chat" => room::chat(server).await,
        "console" => tasks::tasks(server).await,
        "crabdis" => redis::redis(server).await,
        "dufs" => files::files(server).await,
        "hickory-dns" => names::dns(server).await,
        "metrics" => metrics::metrics(server).await,
        "quinn" => quic::quic(server).await,
        "rumqttd" => mqtt::mqtt(server).await,
        "rws" => pages::pages(server).await,
        _ => bail!("no client for {name}"),
    }
}

/// Asks a service that does not say when it serves, until it does.
async fn awaited<T>(ask: impl AsyncFn() -> Result<T>) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
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
