//! DNS by hickory-resolver.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;

use crate::crowd;

/// Each asks for records of several kinds, for one that is not there, and for one whose answer is too long for UDP.
pub(crate) async fn dns(server: &str) -> Result<String> {
    let server: SocketAddr = server.parse()?;
    crowd(|number| async move {
        let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        connections.iter_mut().for_each(|connection| connection.port = server.port());
        // Half of them go by TCP at once.
        let connections = if number % 2 == 0 { connections.to_vec() } else { connections[1..].to_vec() };
        let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
        name_server.connections = connections;
        let mut config = ResolverConfig::default();
        config.add_name_server(name_server);
        let resolver: TokioResolver =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()?;
        let count = async |name: &str, kind| -> Result<usize> {
            Ok(resolver.lookup(name, kind).await.with_context(|| format!("{name} {kind}"))?.answers().len())
        };
        ensure!(count("www.example.test.", RecordType::A).await? == 1, "not one address of www");
        ensure!(count("www.example.test.", RecordType::AAAA).await? == 1, "not one IPv6 address of www");
        ensure!(count("many.example.test.", RecordType::A).await? == 3, "not three addresses of many");
        ensure!(count("long.example.test.", RecordType::TXT).await? == 40, "not all texts of long");
        let ftp = resolver.lookup_ip("ftp.example.test.").await?;
        ensure!(ftp.iter().any(|ip| ip.to_string() == "192.0.2.1"), "ftp is not www");
        ensure!(resolver.lookup_ip("nobody.example.test.").await.is_err(), "nobody has an address");
        Ok(())
    })
    .await?;
    Ok("records of several kinds, long ones by TCP".to_owned())
}
