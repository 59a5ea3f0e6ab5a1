//! HTTP by reqwest.

use anyhow::{Context, Result, ensure};
use prometheus_parse::{Scrape, Value};
use reqwest::StatusCode;
use serde_json::json;

use crate::{CROWD, crowd};

/// Counters of each client's own, and one that all share.
pub(crate) async fn counters(server: &str) -> Result<String> {
    const TURNS: u64 = 20;
    let base = format!("http://{server}/counters");
    crowd(|number| {
        let base = base.clone();
        async move {
            let client = reqwest::Client::new();
            let own = format!("{base}/own-{number}");
            ensure!(client.get(&own).send().await?.status() == StatusCode::NOT_FOUND, "what is not there is there");
            for turn in 1..=TURNS {
                let answer = client.post(&own).json(&json!({ "by": number })).send().await?.error_for_status()?;
                let answer: serde_json::Value = answer.json().await?;
                ensure!(answer["value"] == turn * number as u64, "turn {turn} of {number}: {answer}");
                client.post(format!("{base}/all")).json(&json!({ "by": 1 })).send().await?.error_for_status()?;
            }
            let refused = client.post(&own).body("no JSON").send().await?.status();
            ensure!(refused.is_client_error(), "no JSON, and {refused}");
            Ok(())
        }
    })
    .await?;
    let all: serde_json::Value = reqwest::get(format!("{base}/all")).await?.json().await?;
    ensure!(all["value"] == TURNS * CROWD as u64, "in all {all}");
    Ok(format!("{all}"))
}

/// Files with their types, in whole and in part.
pub(crate) async fn files(server: &str) -> Result<String> {
    const NUMBERS: &str = include_str!("../../files/www/deep/numbers.txt");
    let base = format!("http://{server}");
    crowd(|number| {
        let base = base.clone();
        async move {
            let client = reqwest::Client::new();
            let index = client.get(&base).send().await?.error_for_status()?;
            ensure!(index.headers()["content-type"] == "text/html", "another type: {:?}", index.headers());
            ensure!(index.text().await?.contains("It is sealed in."), "another page");
            let numbers =
                client.get(format!("{base}/deep/numbers.txt")).send().await?.error_for_status()?.text().await?;
            ensure!(numbers == NUMBERS, "{} bytes of {}, or others", numbers.len(), NUMBERS.len());
            let (from, to) = (number * 1000, number * 1000 + 777);
            let range = format!("bytes={from}-{to}");
            let part = client.get(format!("{base}/deep/numbers.txt")).header("range", range).send().await?;
            ensure!(part.status() == StatusCode::PARTIAL_CONTENT, "a part is {}", part.status());
            ensure!(part.text().await? == NUMBERS[from..=to], "another part");
            for missing in ["nothing", "deep/../../etc/passwd", "deep/%2e%2e/%2e%2e/www/index.html"] {
                let status = client.get(format!("{base}/{missing}")).send().await?.status();
                ensure!(status == StatusCode::NOT_FOUND, "{missing} is {status}");
            }
            Ok(())
        }
    })
    .await?;
    Ok(format!("{} bytes each, and a part of them", NUMBERS.len()))
}

/// A scrape for each client, and a later one that has more.
pub(crate) async fn metrics(server: &str) -> Result<String> {
    let url = format!("http://{server}/metrics");
    let first = scrape(&url).await?;
    crowd(|_| {
        let url = url.clone();
        async move { scrape(&url).await.map(drop) }
    })
    .await?;
    let last = scrape(&url).await?;
    ensure!(last > first, "{first} done at first, {last} at last");
    Ok(format!("{last} pieces of work done"))
}

/// What the counters of all workers say.
async fn scrape(url: &str) -> Result<f64> {
    let text = reqwest::get(url).await?.error_for_status()?.text().await?;
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned())))?;
    let value = |name: &'static str| scrape.samples.iter().filter(move |sample| sample.metric == name);
    ensure!(value("worker_number").count() == 4, "not four workers:\n{text}");
    let histogram = value("work_seconds").next().context("no histogram")?;
    ensure!(matches!(&histogram.value, Value::Histogram(buckets) if buckets.len() == 4), "no buckets:\n{text}");
    let count = |value: &Value| if let Value::Counter(count) = value { *count } else { 0.0 };
    Ok(value("work_done_total").map(|sample| count(&sample.value)).sum())
}

/// Pages through a proxy, from a server whose pages are `path`, repeated as often as the path's number says; what is
/// posted comes back.
pub(crate) async fn pages(server: &str) -> Result<String> {
    let base = format!("http://{server}");
    crowd(|number| {
        let base = base.clone();
        async move {
            let client = reqwest::Client::new();
            for turn in 0..8 {
                let length = (number * 8 + turn) * 100;
                let page = client.get(format!("{base}/{length}")).send().await?.error_for_status()?.text().await?;
                ensure!(page == "x".repeat(length), "a page of {length} bytes has {}", page.len());
                let posted = vec![turn as u8; length];
                let back = client.post(format!("{base}/echo")).body(posted.clone()).send().await?;
                ensure!(back.bytes().await? == posted, "{length} bytes do not come back");
            }
            let missing = client.get(format!("{base}/none")).send().await?.status();
            ensure!(missing == StatusCode::NOT_FOUND, "what is not there: {missing}");
            Ok(())
        }
    })
    .await?;
    Ok("their pages and their echoes".to_owned())
}
