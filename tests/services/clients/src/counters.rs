//! Counters over HTTP, by reqwest.

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use serde_json::json;

use crate::{CROWD, crowd, rude};

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
    rude::with_http(server).await?;
    let all: serde_json::Value = reqwest::get(format!("{base}/all")).await?.json().await?;
    ensure!(all["value"] == TURNS * CROWD as u64, "in all {all}");
    Ok(format!("{all}"))
}
