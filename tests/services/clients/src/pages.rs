//! Pages through a reverse proxy, by reqwest.

use anyhow::{Result, ensure};
use reqwest::StatusCode;

use crate::{crowd, rude};

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
    rude::with_http(server.split('/').next().unwrap_or(server)).await?;
    Ok("their pages and their echoes".to_owned())
}
