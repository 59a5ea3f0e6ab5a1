//! Somebody who does not keep to the protocol.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a service may take to be done with nonsense.
const SOON: Duration = Duration::from_secs(20);

/// Says these bytes and goes, without waiting for an answer.
pub(crate) async fn leaves(server: &str, says: &[u8]) -> Result<()> {
    TcpStream::connect(server).await?.write_all(says).await?;
    Ok(())
}

/// Says these bytes and resets the connection (SO_LINGER of 0).
pub(crate) async fn breaks_off(server: &str, says: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(says).await?;
    stream.set_zero_linger()?;
    Ok(())
}

/// Says these bytes, and hears the service out: what it answers, until it closes the connection or resets it.
pub(crate) async fn is_answered(server: &str, says: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // The service may have had enough before it has taken all of it.
    let said = stream.write_all(says).await;
    let heard = tokio::time::timeout(SOON, async {
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..length]);
        }
    });
    ensure!(heard.await.is_ok(), "{says:.40?} leaves a connection open for {SOON:?} ({said:?}), after {answer:?}");
    Ok(answer)
}

/// What no HTTP server takes for a request: a beginning, a beginning that is broken off, nonsense, and a header without an end.
/// (What is answered is refused.)
pub(crate) async fn with_http(server: &str) -> Result<()> {
    leaves(server, b"GET / HT").await?;
    breaks_off(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nfew").await?;
    for nonsense in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], &endless_header()] {
        let answer = is_answered(server, nonsense).await?;
        ensure!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "nonsense: {answer:.200?}");
    }
    Ok(())
}

/// More of one header than any server takes.
fn endless_header() -> Vec<u8> {
    let mut request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ".to_vec();
    request.resize(2 << 20, b'x');
    request.extend_from_slice(b"\r\n\r\n");
    request
}
