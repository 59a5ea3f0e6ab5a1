//! A web page over TLS by rustls, with the certificate sealed into the image.
//!
//! `https [ADDRESS]`; try `curl --cacert examples/https/certificate.pem https://localhost:8443/`. The certificate and
//! its key are for this example alone: anyone can read both.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8443".into());
    let acceptor = TlsAcceptor::from(Arc::new(configuration()?));
    let app = Router::new().route("/", get(async || "served over TLS\n"));
    let listener = TcpListener::bind(&address).await?;
    println!("serving on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(stream, acceptor, app).await {
                eprintln!("connection lost: {error}");
            }
        });
    }
}

fn configuration() -> Result<ServerConfig, Failure> {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../certificate.pem"))?;
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../key.pem"))?;
    Ok(ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?)
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, app: Router) -> Result<(), Failure> {
    let handshake = tokio::time::timeout(Duration::from_secs(10), acceptor.accept(stream));
    let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await?;
    Ok(())
}
