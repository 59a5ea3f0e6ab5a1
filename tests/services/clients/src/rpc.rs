//! gRPC by tonic.

use anyhow::{Context, Result, ensure};
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::crowd;

/// Each asks for services, known and unknown, and follows one that changes.
pub(crate) async fn health(server: &str) -> Result<String> {
    const CALLS: usize = 25;
    let endpoint = Endpoint::from_shared(format!("http://{server}"))?;
    crowd(|_| {
        let endpoint = endpoint.clone();
        async move {
            let mut client = HealthClient::new(endpoint.connect().await?);
            let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
            for _ in 0..CALLS {
                let store = client.check(ask("store")).await?.into_inner();
                let backup = client.check(ask("backup")).await?.into_inner();
                ensure!(
                    (store.status(), backup.status()) == (ServingStatus::Serving, ServingStatus::NotServing),
                    "{store:?}, {backup:?}"
                );
            }
            let unknown = client.check(ask("nobody")).await.err().context("nobody is healthy")?;
            ensure!(unknown.code() == Code::NotFound, "{unknown}");
            let mut changes = client.watch(ask("clock")).await?.into_inner();
            // Two changes between two looks are none, so what is told may repeat itself.
            let mut told = Vec::new();
            while !(told.contains(&ServingStatus::Serving) && told.contains(&ServingStatus::NotServing)) {
                told.push(changes.message().await?.context("the stream ends")?.status());
            }
            Ok(())
        }
    })
    .await?;
    Ok(format!("{} calls each, and a change that they were told of", 2 * CALLS + 1))
}
