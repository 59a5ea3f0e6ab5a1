//! The server.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quinn::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, ServerConfig};
use tokio::signal::unix::{SignalKind, signal};

/// What a stream may bring, in bytes.
const STREAM_MAX: usize = 16 << 20;
/// Datagrams that connections have sent, and calls that it took: fewer, where several leave at once (UDP_SEGMENT).
static SENT: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

pub(crate) async fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::with_single_cert(vec![made.cert.der().clone()], key)?;
    let endpoint = Endpoint::server(config, ([0, 0, 0, 0], port).into())?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("serving on {}", endpoint.local_addr()?.port());
    loop {
        tokio::select! {
            Some(incoming) = endpoint.accept() => drop(tokio::spawn(attend(incoming))),
            _ = stop.recv() => break,
        }
    }
    endpoint.close(0u32.into(), b"stopped");
    endpoint.wait_idle().await;
    let [datagrams, calls] = SENT.each_ref().map(|count| count.load(Relaxed));
    println!("{datagrams} datagrams in {calls} calls");
    if datagrams <= calls {
        return Err("no two datagrams left at once".into());
    }
    println!("stopped");
    Ok(())
}

async fn attend(incoming: Incoming) {
    let connection = match incoming.await {
        Ok(connection) => connection,
        Err(error) => return eprintln!("no connection: {error}"),
    };
    tokio::spawn(return_datagrams(connection.clone()));
    while let Ok((send, receive)) = connection.accept_bi().await {
        tokio::spawn(return_bytes(send, receive));
    }
    let sent = connection.stats().udp_tx;
    SENT[0].fetch_add(sent.datagrams, Relaxed);
    SENT[1].fetch_add(sent.ios, Relaxed);
}

async fn return_bytes(mut send: SendStream, mut receive: RecvStream) {
    let Ok(bytes) = receive.read_to_end(STREAM_MAX).await else { return };
    if send.write_all(&bytes).await.is_ok() {
        _ = send.finish();
    }
}

async fn return_datagrams(connection: Connection) {
    while let Ok(bytes) = connection.read_datagram().await {
        _ = connection.send_datagram(bytes);
    }
}
