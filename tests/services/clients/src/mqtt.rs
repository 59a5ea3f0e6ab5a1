//! MQTT by rumqttc.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};

use crate::crowd;

/// Each publishes to a topic of its own with two qualities of service, and hears it.
pub(crate) async fn mqtt(server: &str) -> Result<String> {
    const MESSAGES: usize = 30;
    let (host, port) = server.rsplit_once(':').context("HOST:PORT")?;
    let (host, port) = (host.to_owned(), port.parse()?);
    crowd(|number| {
        let host = host.clone();
        async move {
            let mut options = MqttOptions::new(format!("client-{number}"), host, port);
            options.set_keep_alive(Duration::from_secs(30));
            let (client, mut events) = AsyncClient::new(options, 100);
            let topic = format!("crowd/{number}/news");
            client.subscribe(&topic, QoS::AtLeastOnce).await?;
            until(&mut events, |packet| matches!(packet, Packet::SubAck(_))).await?;
            for message in 0..MESSAGES {
                let quality = [QoS::AtMostOnce, QoS::AtLeastOnce][message % 2];
                client.publish(&topic, quality, false, format!("{number}:{message}:").repeat(100)).await?;
            }
            for message in 0..MESSAGES {
                let packet = until(&mut events, |packet| matches!(packet, Packet::Publish(_))).await?;
                let Packet::Publish(publish) = packet else { bail!("no message") };
                let expected = format!("{number}:{message}:").repeat(100);
                ensure!(
                    publish.topic == topic && publish.payload == expected,
                    "message {message} of {number} is another"
                );
            }
            client.disconnect().await?;
            while events.poll().await.is_ok() {}
            Ok(())
        }
    })
    .await?;
    Ok(format!("{MESSAGES} messages to themselves each"))
}

/// The next packet of a kind.
async fn until(events: &mut EventLoop, is_it: impl Fn(&Packet) -> bool) -> Result<Packet> {
    loop {
        if let Event::Incoming(packet) = events.poll().await?
            && is_it(&packet)
        {
            return Ok(packet);
        }
    }
}
