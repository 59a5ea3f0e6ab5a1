//! The health service of gRPC by tonic: `Check` answers once, `Watch` streams every change. A service named `clock`
//! changes its mind a hundred times a second.
#![forbid(unsafe_code)]

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("store", ServingStatus::Serving).await;
    reporter.set_service_status("backup", ServingStatus::NotServing).await;
    tokio::spawn(tick(reporter));
    let listener = TcpListener::bind(("0.0.0.0", 50051)).await?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("serving on 50051");
    let server = Server::builder().add_service(service);
    let stopped = async move { _ = stop.recv().await };
    server.serve_with_incoming_shutdown(TcpIncoming::from(listener), stopped).await?;
    println!("stopped");
    Ok(())
}

async fn tick(reporter: HealthReporter) {
    for status in [ServingStatus::Serving, ServingStatus::NotServing].into_iter().cycle() {
        reporter.set_service_status("clock", status).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
