//! A reverse proxy for HTTP/1.1 by hyper: what comes to port 8080 goes to the server that the command line names, over
//! connections that are kept and used again.
#![forbid(unsafe_code)]

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, Scheme};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream: Authority = std::env::args().nth(1).ok_or("usage: proxy HOST:PORT")?.parse()?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let listener = TcpListener::bind(("0.0.0.0", 8080)).await?;
    let mut stop = signal(SignalKind::terminate())?;
    let graceful = hyper_util::server::graceful::GracefulShutdown::new();
    println!("leading to {upstream}");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let (client, upstream) = (client.clone(), upstream.clone());
                let service = service_fn(move |request| forward(client.clone(), upstream.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(graceful.watch(connection));
            }
            _ = stop.recv() => break,
        }
    }
    graceful.shutdown().await;
    println!("stopped");
    Ok(())
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    mut request: Request<Incoming>,
) -> Result<Answer, hyper::http::Error> {
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(upstream.clone());
    *request.uri_mut() = Uri::from_parts(parts).map_err(hyper::http::Error::from)?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(upstream.as_str())?);
    match client.request(request).await {
        Ok(response) => Ok(response.map(Either::Left)),
        Err(error) => {
            eprintln!("{upstream}: {error}");
            Response::builder().status(StatusCode::BAD_GATEWAY).body(Either::Right(Empty::new()))
        }
    }
}
