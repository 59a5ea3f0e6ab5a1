//! Redis by the crate of that name.

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use redis::AsyncCommands;

use crate::{crowd, rude};

/// Each has keys of its own, one that expires, and a channel that it publishes to and hears.
pub(crate) async fn redis(server: &str) -> Result<String> {
    const KEYS: usize = 50;
    let client = redis::Client::open(format!("redis://{server}/"))?;
    crowd(|number| {
        let client = client.clone();
        async move {
            let mut connection = client.get_multiplexed_async_connection().await?;
            let value = |key: usize| format!("{number}/{key}/").repeat(key * 20 + 1);
            for key in 0..KEYS {
                let () = connection.set(format!("{number}-{key}"), value(key)).await?;
            }
            for key in 0..KEYS {
                let got: String = connection.get(format!("{number}-{key}")).await?;
                ensure!(got == value(key), "{number}-{key} is another");
            }
            let none: Option<String> = connection.get(format!("{number}-none")).await?;
            ensure!(none.is_none(), "what is not there: {none:?}");
            expire(&mut connection, number).await?;
            let channel = format!("channel-{number}");
            let mut subscriber = client.get_async_pubsub().await?;
            subscriber.subscribe(&channel).await?;
            let heard: usize = connection.publish(&channel, "news").await?;
            ensure!(heard == 1, "{heard} hear {channel}");
            let message = subscriber.on_message().next().await.context("nothing heard")?;
            ensure!(message.get_payload::<String>()? == "news", "heard something else");
            Ok(())
        }
    })
    .await?;
    let set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$10\r\n";
    rude::leaves(server, set.as_bytes()).await?;
    rude::breaks_off(server, set.as_bytes()).await?;
    // Lengths below nothing, and what is no request.
    for nonsense in ["*1\r\n$-7\r\n", "*-5\r\n", "$\r\n\r\n:::\r\n"] {
        rude::breaks_off(server, nonsense.as_bytes()).await?;
    }
    let after: String = client.get_multiplexed_async_connection().await?.get("0-0").await?;
    ensure!(after == "0/0/", "after all that a value is {after:?}");
    Ok(format!("{KEYS} keys each, and a message to themselves"))
}

/// A key with a life of 100 ms is gone in the end.
async fn expire(connection: &mut redis::aio::MultiplexedConnection, number: usize) -> Result<()> {
    let key = format!("{number}-short");
    let mut set = redis::cmd("SET");
    let () = set.arg(&key).arg("here").arg("PX").arg(100).query_async(connection).await?;
    while connection.get::<_, Option<String>>(&key).await?.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}
