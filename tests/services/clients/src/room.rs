//! WebSockets by tokio-tungstenite.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::Barrier;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::Message;

use crate::{CROWD, crowd, rude};

/// The room passes on to all others what one says. All enter; when all have heard all others each says something, and hears
/// what the others have said.
pub(crate) async fn chat(server: &str) -> Result<String> {
    const LINES: usize = 5;
    meet(server, LINES).await?;
    rude::leaves(server, b"GET / HTTP/1.1\r\nUpgrade: web").await?;
    rude::breaks_off(server, &[UPGRADE, b"\x81\xfe\xff"].concat()).await?;
    rude::is_answered(server, b"hello\r\n\r\n").await?;
    // A frame that is not masked (RFC 6455 §5.1), one of 2⁶² bytes, and a text that is no UTF-8 (§8.1).
    for frame in [&b"\x81\x02hi"[..], b"\x82\xff\x40\0\0\0\0\0\0\0abcd", b"\x81\x82\0\0\0\0\xff\xfe"] {
        rude::is_answered(server, &[UPGRADE, frame].concat()).await?;
    }
    meet(server, 1).await?;
    Ok(format!("each heard {} lines", (CROWD - 1) * LINES))
}

/// A handshake (RFC 6455 §1.3).
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

async fn meet(server: &str, lines: usize) -> Result<()> {
    let all_there = Arc::new(Barrier::new(CROWD));
    crowd(|number| {
        let (url, all_there) = (format!("ws://{server}/"), all_there.clone());
        async move {
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
            let others = move || (0..CROWD).filter(move |who| *who != number);
            let mut heard = HashSet::new();
            // Who comes later does not hear what was said before, so each says it until it has heard all others: nobody is
            // heard who is not in.
            let mut again = tokio::time::interval(Duration::from_millis(500));
            again.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !others().all(|who| heard.contains(&format!("hello {who}"))) {
                tokio::select! {
                    _ = again.tick() => socket.send(Message::text(format!("hello {number}"))).await?,
                    text = hear(&mut socket) => heard.extend(text?),
                }
            }
            // The last to come has yet to hear those who have heard it.
            socket.send(Message::text(format!("hello {number}"))).await?;
            let everyone = all_there.wait();
            tokio::pin!(everyone);
            loop {
                tokio::select! {
                    _ = &mut everyone => break,
                    _ = again.tick() => socket.send(Message::text(format!("hello {number}"))).await?,
                    text = hear(&mut socket) => heard.extend(text?),
                }
            }
            for line in 0..lines {
                socket.send(Message::text(format!("{number} says {line}"))).await?;
            }
            let said = || others().flat_map(move |who| (0..lines).map(move |line| format!("{who} says {line}")));
            while !said().all(|text| heard.contains(&text)) {
                heard.extend(hear(&mut socket).await?);
            }
            all_there.wait().await;
            socket.close(None).await?;
            while let Some(Ok(_)) = socket.next().await {}
            Ok(())
        }
    })
    .await
}

async fn hear<S>(socket: &mut S) -> Result<Option<String>>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    let message = socket.next().await.context("the room is closed")??;
    ensure!(!message.is_close(), "the room was left");
    Ok(message.is_text().then(|| message.to_string()))
}
