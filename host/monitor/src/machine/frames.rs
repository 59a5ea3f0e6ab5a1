//! The network device, where the machine is connected by Ethernet frames.

use super::os;
use super::strings::Strings;
use crate::network::Link;
use crate::{Error, Network, tap};
use abi::boot::NetworkConfig;
use std::os::fd::OwnedFd;

/// Feature bits of virtio-net (VIRTIO 1.2 §5.1.3): checksums may be left to the other side, both ways, and the device has an
/// address.
pub(crate) const FEATURES: u64 = 1 << 0 | 1 << 1 | 1 << 5;
/// Bytes of a station's address.
pub(crate) const ADDRESS: usize = 6;

/// What the machine is told about its interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames {
    /// Where the station's address stands among the strings.
    pub(crate) address_at: usize,
    /// What is known of the network; nothing: the machine asks by DHCP.
    pub(crate) network: NetworkConfig,
}

impl Frames {
    /// Opens the interface, while there are rights to do so, and gives its descriptor. The machine's address on the link is a random one that nobody
    /// else was given (IEEE 802 §8.4: locally administered), and goes behind the strings.
    pub(crate) fn open(network: &Network, link: Link, strings: &mut Strings) -> Result<Option<(Self, OwnedFd)>, Error> {
        let (Network::Tap(tap), Link::Frames) = (network, link) else { return Ok(None) };
        let interface = tap::open(&tap.interface)?;
        let [first, rest @ ..] = *os::random()?.first_chunk::<ADDRESS>().unwrap_or(&[2; ADDRESS]);
        let address_at = strings.bytes.len();
        strings.bytes.push(first & !1 | 2);
        strings.bytes.extend(rest);
        let network = tap.station.map(|s| s.config()).unwrap_or_default();
        Ok(Some((Self { address_at, network }, interface)))
    }
}
