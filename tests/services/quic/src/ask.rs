//! The client.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use quinn::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use quinn::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use quinn::rustls::{self, DigitallySignedStruct, SignatureScheme};
use quinn::{ClientConfig, Connection, Endpoint};
use tokio::task::JoinSet;

/// Connections, each with so many streams, each with so many bytes.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 4;
const BYTES: usize = 256 << 10;
/// Datagrams are asked for again until they come back; so often.
const DATAGRAM_ATTEMPTS: usize = 50;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

pub(crate) async fn ask(server: &str) -> Result<(), Box<dyn Error>> {
    let server: SocketAddr = server.parse()?;
    let provider = Arc::new(ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let config =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth();
    let mut endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(config)?)));
    let mut connections = JoinSet::new();
    for number in 0..CONNECTIONS {
        connections.spawn(talk(endpoint.clone(), server, number));
    }
    while let Some(ended) = connections.join_next().await {
        ended?.map_err(|error| error.to_string())?;
    }
    endpoint.wait_idle().await;
    println!("{CONNECTIONS} connections: {} MiB there and back", (CONNECTIONS * STREAMS * BYTES) >> 20);
    Ok(())
}

async fn talk(endpoint: Endpoint, server: SocketAddr, number: usize) -> Outcome {
    let connection = endpoint.connect(server, "localhost")?.await?;
    let mut streams = JoinSet::new();
    for stream in 0..STREAMS {
        streams.spawn(echo(connection.clone(), number * STREAMS + stream));
    }
    while let Some(ended) = streams.join_next().await {
        ended??;
    }
    datagram(&connection).await?;
    connection.close(0u32.into(), b"done");
    Ok(())
}

async fn echo(connection: Connection, seed: usize) -> Outcome {
    let sent: Vec<u8> =
        (0..BYTES).map(|n| (n.wrapping_mul(31).wrapping_add(n >> 8).wrapping_add(seed)) as u8).collect();
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&sent).await?;
    send.finish()?;
    let received = receive.read_to_end(BYTES).await?;
    if received != sent {
        return Err(format!("{} bytes came back of {BYTES}, or others", received.len()).into());
    }
    Ok(())
}

/// A datagram may be lost; not all of many.
async fn datagram(connection: &Connection) -> Outcome {
    for attempt in 0..DATAGRAM_ATTEMPTS {
        connection.send_datagram(format!("datagram {attempt}").into())?;
    }
    let bytes = connection.read_datagram().await?;
    if !bytes.starts_with(b"datagram ") {
        return Err("another datagram came back".into());
    }
    Ok(())
}

/// Takes any certificate, and checks what is signed with it.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
