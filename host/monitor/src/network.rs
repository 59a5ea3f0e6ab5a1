//! How a machine is connected, as the operator says it.

use abi::boot::NetworkConfig;
use abi::manifest::Manifest;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// How the machine is connected, if its manifest names a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// As the backend does it without any rights: by the host's own sockets; under QEMU, by QEMU's user networking.
    #[default]
    Own,
    /// Not at all, whatever the manifest says.
    None,
    /// By Ethernet frames, through an interface that is there already.
    Tap(Tap),
}

/// A TAP interface, and who the machine is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The interface's name.
    pub interface: String,
    /// The machine's address, or `None`: it asks by DHCP.
    pub station: Option<Station>,
}

/// An address that was given to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its own.
    pub address: Ipv4Addr,
    /// Bits of the network's prefix.
    pub prefix: u8,
    /// The router to everywhere else.
    pub gateway: Option<Ipv4Addr>,
    /// Who knows names.
    pub name_server: Option<Ipv4Addr>,
}

/// What a machine is connected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is not.
    None,
    /// The host's sockets.
    Sockets,
    /// Ethernet frames.
    Frames,
}

impl Link {
    pub(crate) fn of(manifest: &Manifest, network: &Network) -> Self {
        match (&manifest.network, network) {
            (None, _) | (_, Network::None) => Link::None,
            (_, Network::Own) => Link::Sockets,
            (_, Network::Tap(_)) => Link::Frames,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    /// `none`, or `tap:NAME[,ADDRESS/PREFIX[,GATEWAY[,NAME-SERVER]]]`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Network::None);
        }
        let rest = text.strip_prefix("tap:").ok_or("neither `none` nor `tap:NAME`")?;
        let mut parts = rest.split(',');
        let interface = parts.next().filter(|name| !name.is_empty()).ok_or("no name after `tap:`")?.to_owned();
        let Some(own) = parts.next() else { return Ok(Network::Tap(Tap { interface, station: None })) };
        let (address, prefix) = own.split_once('/').ok_or_else(|| format!("`{own}` has no prefix length (/24)"))?;
        let prefix = prefix.parse().ok().filter(|bits| (1..=32).contains(bits));
        let prefix = prefix.ok_or_else(|| format!("`{own}` has no prefix length from 1 to 32"))?;
        let mut optional = || parts.next().map(parse).transpose();
        let station = Station { address: parse(address)?, prefix, gateway: optional()?, name_server: optional()? };
        match parts.next() {
            Some(more) => Err(format!("`{more}` is one part too many")),
            None => Ok(Network::Tap(Tap { interface, station: Some(station) })),
        }
    }
}

fn parse(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("`{text}` is no IPv4 address"))
}

impl Station {
    /// As the boot information has it.
    pub(crate) fn config(&self) -> NetworkConfig {
        let octets = |address: Option<Ipv4Addr>| address.map_or([0; 4], |a| a.octets());
        NetworkConfig {
            address: self.address.octets(),
            prefix: self.prefix.into(),
            gateway: octets(self.gateway),
            name_server: octets(self.name_server),
        }
    }

    /// As the exokernel's command line has it: `ADDRESS/PREFIX,GATEWAY,NAME-SERVER`; 0.0.0.0 is none.
    pub(crate) fn line(&self) -> String {
        let or_none = |address: Option<Ipv4Addr>| address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        format!("{}/{},{},{}", self.address, self.prefix, or_none(self.gateway), or_none(self.name_server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_says_is_read() {
        let tap = |text: &str| match text.parse() {
            Ok(Network::Tap(tap)) => tap,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!("none".parse(), Ok(Network::None));
        assert_eq!(tap("tap:t0"), Tap { interface: "t0".into(), station: None });
        let station = tap("tap:t0,10.0.0.2/24,10.0.0.1").station.expect("an address");
        assert_eq!(station.line(), "10.0.0.2/24,10.0.0.1,0.0.0.0");
        assert_eq!(station.config().prefix, 24);
        assert_eq!(
            tap("tap:t0,10.0.0.2/8,10.0.0.1,9.9.9.9").station.expect("an address").name_server,
            Some([9; 4].into())
        );
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let cases = [
            ("user", "neither"),
            ("tap:", "no name"),
            ("tap:t0,10.0.0.2", "no prefix length"),
            ("tap:t0,10.0.0.2/0", "from 1 to 32"),
            ("tap:t0,10.0.0.2/33", "from 1 to 32"),
            ("tap:t0,x/24", "`x` is no IPv4 address"),
            ("tap:t0,10.0.0.2/24,,", "`` is no IPv4 address"),
            ("tap:t0,10.0.0.2/24,10.0.0.1,10.0.0.1,5", "one part too many"),
        ];
        for (text, said) in cases {
            let error = text.parse::<Network>().expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
