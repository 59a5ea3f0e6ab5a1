//! Calls by JSON-RPC 2.0 over HTTP, by reqwest.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::{awaited, crowd, rude};

/// Sums, differences and echoes, one at a time and in batches; a notification, and what is to be refused.
pub(crate) async fn calls(server: &str) -> Result<String> {
    const TURNS: u64 = 20;
    let url = format!("http://{server}/api");
    awaited(async || greeting(&url).await).await;
    crowd(|number| {
        let (url, number) = (url.clone(), number as u64);
        async move {
            let client = Client::new();
            for turn in 0..TURNS {
                let sum = call(&client, &url, "add", json!({ "a": number * 1000, "b": turn })).await?;
                ensure!(sum["result"] == number * 1000 + turn, "turn {turn} of {number}: {sum}");
                let text = "x".repeat(((number * TURNS + turn) * 100) as usize);
                let echo = call(&client, &url, "test", json!([text])).await?;
                let echo: Value = serde_json::from_str(echo["result"].as_str().context("no echo")?)?;
                ensure!(echo == json!([text]), "{} bytes do not come back", text.len());
            }
            batch(&client, &url, number).await?;
            refused(&client, &url).await
        }
    })
    .await?;
    rude::with_http(server).await?;
    // The beginning of a call, and the connection is reset.
    let few = b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"jsonrpc\": ";
    rude::breaks_off(server, few).await?;
    greeting(&url).await?;
    Ok("their sums and their echoes".to_owned())
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

async fn greeting(url: &str) -> Result<()> {
    let answer = call(&Client::new(), url, "message", json!([])).await?;
    ensure!(answer["result"] == "Hello!", "the greeting is {answer}");
    Ok(())
}

async fn call(client: &Client, url: &str, method: &str, params: Value) -> Result<Value> {
    let request = request(7, method, params);
    let answer: Value = client.post(url).json(&request).send().await?.error_for_status()?.json().await?;
    ensure!(answer["jsonrpc"] == "2.0" && answer["id"] == 7, "no answer to the call: {answer}");
    Ok(answer)
}

/// As many calls as the client's number and one more, in one request. The answers may come in any order (JSON-RPC 2.0 §6).
async fn batch(client: &Client, url: &str, number: u64) -> Result<()> {
    let requests: Vec<Value> = (0..=number).map(|id| request(id, "sub", json!([number, id]))).collect();
    let answers: Vec<Value> = client.post(url).json(&requests).send().await?.error_for_status()?.json().await?;
    ensure!(answers.len() == requests.len(), "{} answers to {} calls", answers.len(), requests.len());
    for id in 0..=number {
        let answer = answers.iter().find(|answer| answer["id"] == id).context("a call without an answer")?;
        ensure!(answer["result"] == number - id, "{number} - {id}: {answer}");
    }
    Ok(())
}

/// A notification has no answer (§4.1); a call that is wrong has its code (§5.1); and what is no call is not there.
async fn refused(client: &Client, url: &str) -> Result<()> {
    let notification = json!({ "jsonrpc": "2.0", "method": "message", "params": [] });
    let answer = client.post(url).json(&notification).send().await?;
    ensure!(answer.status() == StatusCode::NO_CONTENT, "a notification is answered: {}", answer.status());
    let unknown = call(client, url, "none", json!([])).await?;
    ensure!(unknown["error"]["code"] == -32601, "a method that is not there: {unknown}");
    let wrong = call(client, url, "add", json!({ "a": "x" })).await?;
    ensure!(wrong["error"]["code"] == -32602, "parameters of another kind: {wrong}");
    let nonsense: Value = client.post(url).body("{").send().await?.json().await?;
    ensure!(nonsense["error"]["code"] == -32700, "no JSON: {nonsense}");
    let missing = client.get(url).send().await?.status();
    ensure!(missing == StatusCode::NOT_FOUND, "not posted: {missing}");
    Ok(())
}
