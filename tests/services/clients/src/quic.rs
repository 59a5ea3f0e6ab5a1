//! Files over QUIC as HTTP/0.9, by quinn.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::CertificateDer;
use quinn::rustls::pki_types::pem::PemObject;
use quinn::{ClientConfig, Connection, Endpoint};

use crate::crowd;

const CERTIFICATE: &[u8] = include_bytes!("../../quinn/cert.pem");
const NUMBERS: &[u8] = include_bytes!("../../quinn/www/deep/numbers.txt");

/// Each fetches a long file on several streams at once, and another after it has moved to another port.
pub(crate) async fn quic(server: &str) -> Result<String> {
    let server: SocketAddr = server.parse()?;
    crowd(move |_| visit(server)).await?;
    // Datagrams that are none of QUIC's: a long header of no version, one that ends at once, noise, the longest.
    let rude = UdpSocket::bind("127.0.0.1:0")?;
    for nonsense in [&[0xff; 1200][..], &[0xc0], &[0x40; 20], &[0; 1472]] {
        rude.send_to(nonsense, server)?;
    }
    // A handshake that nobody goes on with.
    drop(endpoint(&[b"hq-29"])?.connect(server, "localhost")?);
    let stranger = endpoint(&[b"h3"])?.connect(server, "localhost")?.await;
    ensure!(stranger.is_err(), "a protocol that it does not speak is welcome");
    visit(server).await?;
    Ok(format!("{} bytes each on four streams, and more from another port", NUMBERS.len()))
}

async fn visit(server: SocketAddr) -> Result<()> {
    let endpoint = endpoint(&[b"hq-29"])?;
    let connection = endpoint.connect(server, "localhost")?.await?;
    let streams = [fetch(&connection), fetch(&connection), fetch(&connection), fetch(&connection)];
    for answer in futures_util::future::join_all(streams).await {
        ensure!(answer? == NUMBERS, "other numbers");
    }
    endpoint.rebind(UdpSocket::bind("127.0.0.1:0")?)?;
    ensure!(fetch(&connection).await? == NUMBERS, "other numbers at another port");
    let missing = get(&connection, "/nothing").await?;
    ensure!(missing.starts_with(b"failed to process request"), "nothing is {:?}", String::from_utf8_lossy(&missing));
    let up = get(&connection, "/../etc/passwd").await?;
    ensure!(up.starts_with(b"failed to process request"), "a way up: {:?}", String::from_utf8_lossy(&up));
    connection.close(0_u32.into(), b"done");
    endpoint.wait_idle().await;
    Ok(())
}

async fn fetch(connection: &Connection) -> Result<Vec<u8>> {
    get(connection, "/deep/numbers.txt").await
}

async fn get(connection: &Connection, path: &str) -> Result<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(format!("GET {path}\r\n").as_bytes()).await?;
    send.finish()?;
    receive.read_to_end(1 << 20).await.with_context(|| format!("{path} does not come"))
}

fn endpoint(protocols: &[&[u8]]) -> Result<Endpoint> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE)?)?;
    let mut crypto = quinn::rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    crypto.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto)?)));
    match endpoint.local_addr()?.port() {
        0 => bail!("no port"),
        _ => Ok(endpoint),
    }
}
