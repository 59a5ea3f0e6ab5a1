//! WebSockets by tokio-tungstenite.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::Barrier;
use tokio_tungstenite::tungstenite::Message;

use crate::{CROWD, crowd};

/// All enter; when all are there each says something, and hears what all have said.
pub(crate) async fn chat(server: &str) -> Result<String> {
    const LINES: usize = 5;
    let all_there = Arc::new(Barrier::new(CROWD));
    crowd(|number| {
        let (url, all_there) = (format!("ws://{server}/"), all_there.clone());
        async move {
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
            // What one hears of oneself shows that one has entered.
            socket.send(Message::text(format!("hello {number}"))).await?;
            let mut heard = HashSet::new();
            while !heard.contains(&format!("hello {number}")) {
                heard.extend(hear(&mut socket).await?);
            }
            all_there.wait().await;
            for line in 0..LINES {
                socket.send(Message::text(format!("{number} says {line}"))).await?;
            }
            let said = || (0..CROWD).flat_map(|who| (0..LINES).map(move |line| format!("{who} says {line}")));
            while !said().all(|text| heard.contains(&text)) {
                heard.extend(hear(&mut socket).await?);
            }
            socket.close(None).await?;
            while let Some(Ok(_)) = socket.next().await {}
            Ok(())
        }
    })
    .await?;
    Ok(format!("each heard {} lines", CROWD * LINES))
}

async fn hear<S>(socket: &mut S) -> Result<Option<String>>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    let message = socket.next().await.context("the room is closed")??;
    ensure!(!message.is_close(), "the room was left");
    Ok(message.is_text().then(|| message.to_string()))
}
