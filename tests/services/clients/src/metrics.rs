//! Metrics as Prometheus reads them, by reqwest and prometheus-parse.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use prometheus_parse::{Scrape, Value};

use crate::{awaited, crowd, rude};

/// A scrape for each client, and later ones until the program has counted on.
pub(crate) async fn metrics(server: &str) -> Result<String> {
    let url = format!("http://{server}/metrics");
    let first = awaited(async || scrape(&url).await).await;
    crowd(|_| {
        let url = url.clone();
        async move { scrape(&url).await.map(drop) }
    })
    .await?;
    rude::with_http(server).await?;
    let mut last = first;
    while last == first {
        // It counts every 750 ms.
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = scrape(&url).await?;
    }
    ensure!(last > first, "{first} loops at first, {last} at last");
    Ok(format!("{last} loops counted"))
}

/// How many loops the program has done. The others of its metrics are there too.
async fn scrape(url: &str) -> Result<f64> {
    let text = reqwest::get(url).await?.error_for_status()?.text().await?;
    let help = "# HELP tcp_server_loops The iterations of the TCP server event loop so far.";
    ensure!(text.contains(help), "no description:\n{text}");
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned())))?;
    let value = |name: &str| scrape.samples.iter().find(|sample| sample.metric == name).map(|sample| &sample.value);
    ensure!(matches!(value("testing"), Some(Value::Gauge(42.0))), "another gauge:\n{text}");
    match value("tcp_server_loops").context("no counter")? {
        Value::Counter(loops) => Ok(*loops),
        other => anyhow::bail!("the counter is {other:?}"),
    }
}
