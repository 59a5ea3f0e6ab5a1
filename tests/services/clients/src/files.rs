//! Files over HTTP, by reqwest.

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};

use crate::{crowd, rude};

const NUMBERS: &str = include_str!("../../dufs/www/deep/numbers.txt");

/// Files with their types, in whole and in part, and the list of them.
pub(crate) async fn files(server: &str) -> Result<String> {
    crowd(|number| ask(format!("http://{server}"), number)).await?;
    rude::with_http(server).await?;
    let up =
        rude::is_answered(server, b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    ensure!(up.starts_with(b"HTTP/1.1 4"), "a way up: {:?}", String::from_utf8_lossy(&up));
    ask(format!("http://{server}"), 0).await?;
    Ok(format!("{} bytes each, and a part of them", NUMBERS.len()))
}

async fn ask(base: String, number: usize) -> Result<()> {
    let client = reqwest::Client::new();
    let index = client.get(format!("{base}/index.html")).send().await?.error_for_status()?;
    let kind = index.headers()["content-type"].to_str()?.to_owned();
    ensure!(kind.starts_with("text/html"), "another type: {kind}");
    ensure!(index.text().await?.contains("It is sealed in."), "another page");
    let list: serde_json::Value = client.get(format!("{base}/?json")).send().await?.error_for_status()?.json().await?;
    let names: Vec<&str> =
        list["paths"].as_array().into_iter().flatten().filter_map(|path| path["name"].as_str()).collect();
    ensure!(names == ["deep", "index.html"], "the list: {names:?}");
    let numbers = client.get(format!("{base}/deep/numbers.txt"));
    let whole = numbers.try_clone().expect("it has no body").send().await?.error_for_status()?.text().await?;
    ensure!(whole == NUMBERS, "{} bytes of {}, or others", whole.len(), NUMBERS.len());
    let (from, to) = (number * 1000, number * 1000 + 777);
    let part =
        numbers.try_clone().expect("it has no body").header("range", format!("bytes={from}-{to}")).send().await?;
    ensure!(part.status() == StatusCode::PARTIAL_CONTENT, "a part is {}", part.status());
    ensure!(part.text().await? == NUMBERS[from..=to], "another part");
    let beyond = numbers.header("range", "bytes=999999999-").send().await?.status();
    ensure!(beyond == StatusCode::RANGE_NOT_SATISFIABLE, "what is behind the end is {beyond}");
    let missing = client.get(format!("{base}/nothing")).send().await?.status();
    ensure!(missing == StatusCode::NOT_FOUND, "nothing is {missing}");
    let written = client.put(format!("{base}/new.txt")).body("new").send().await?.status();
    ensure!(written == StatusCode::FORBIDDEN, "a file that is put is {written}");
    let dav =
        client.request(Method::from_bytes(b"PROPFIND")?, format!("{base}/deep/")).header("depth", "1").send().await?;
    ensure!(dav.status() == StatusCode::MULTI_STATUS, "PROPFIND is {}", dav.status());
    ensure!(dav.text().await?.contains("/deep/numbers.txt"), "WebDAV has another list");
    Ok(())
}
