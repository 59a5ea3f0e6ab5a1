//! The interface's addresses: IPv4 as the boot information gives it or from DHCP (RFC 2131), IPv6 link-local (RFC 4862
//! §5.3). Without a router's prefixes IPv6 reaches the link and no further.

use super::phy::Phy;
use super::{Inet, Network, World};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

pub(super) struct Addressing {
    dhcp: Option<Dhcp>,
    v4: Option<Ipv4Cidr>,
    gateway: Option<Ipv4Addr>,
    name_servers: Vec<IpAddr>,
}

struct Dhcp {
    set: SocketSet<'static>,
    handle: SocketHandle,
    /// When its socket wants to be asked.
    due: Option<Instant>,
}

impl Addressing {
    pub(super) fn new(interface: &mut Interface, station: EthernetAddress, network: Network) -> Self {
        let local = link_local(station);
        interface.update_ip_addrs(|list| {
            // There is room for four.
            let _ = list.push(IpCidr::new(local.into(), 64));
        });
        let mut addressing = Self { dhcp: None, v4: None, gateway: None, name_servers: Vec::new() };
        match network.address {
            Some((address, prefix)) => {
                let cidr = Ipv4Cidr::new(Ipv4Addr::from(address), prefix.min(32));
                let servers = network.name_server.map(Ipv4Addr::from);
                addressing.set(interface, Some(cidr), network.gateway.map(Ipv4Addr::from), servers.as_slice());
            }
            None => {
                let mut set = SocketSet::new(Vec::new());
                let handle = set.add(dhcpv4::Socket::new());
                addressing.dhcp = Some(Dhcp { set, handle, due: Some(Instant::ZERO) });
            }
        }
        addressing
    }

    pub(super) fn is_configured(&self) -> bool {
        self.v4.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.dhcp.as_ref().and_then(|dhcp| dhcp.due)
    }

    /// Where names are asked for.
    pub(super) fn name_servers(&self) -> &[IpAddr] {
        &self.name_servers
    }

    /// Is there a way to this address?
    pub(super) fn reaches(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) if v4.is_broadcast() || v4.is_multicast() => self.v4.is_some(),
            IpAddr::V4(v4) => self.v4.is_some_and(|own| self.gateway.is_some() || own.contains_addr(&v4)),
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast(),
        }
    }

    /// Do frames to this IPv4 address concern every station here?
    pub(super) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast() || self.v4.is_some_and(|own| own.broadcast() == Some(address))
    }

    fn set(
        &mut self,
        interface: &mut Interface,
        v4: Option<Ipv4Cidr>,
        gateway: Option<Ipv4Addr>,
        servers: &[Ipv4Addr],
    ) {
        interface.update_ip_addrs(|list| {
            list.retain(|cidr| matches!(cidr, IpCidr::Ipv6(_)));
            if let Some(v4) = v4.filter(|cidr| !cidr.address().is_unspecified() && !cidr.address().is_multicast()) {
                let _ = list.push(IpCidr::Ipv4(v4));
            }
        });
        let routes = interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = gateway {
            let _ = routes.add_default_ipv4_route(gateway);
        }
        self.v4 = v4;
        self.gateway = gateway;
        self.name_servers = servers.iter().copied().map(IpAddr::V4).collect();
    }
}

impl Inet {
    /// A DHCP server's answer.
    pub(super) fn configured_by(&mut self, world: World<'_>, frame: &[u8]) {
        let mut phy = Phy::new(world.frames, self.capabilities, Some(frame));
        if let Some(dhcp) = &mut self.addressing.dhcp {
            self.interface.poll_ingress_single(world.now, &mut phy, &mut dhcp.set);
            dhcp.due = Some(world.now);
        }
    }

    /// Lets DHCP do what is due; true if it did something.
    pub(super) fn configure(&mut self, world: World<'_>) -> bool {
        let Some(dhcp) = self.addressing.dhcp.as_mut().filter(|d| d.due.is_some_and(|due| due <= world.now)) else {
            return false;
        };
        let mut phy = Phy::new(world.frames, self.capabilities, None);
        self.interface.poll_egress(world.now, &mut phy, &mut dhcp.set);
        let event = dhcp.set.get_mut::<dhcpv4::Socket>(dhcp.handle).poll().map(|event| match event {
            dhcpv4::Event::Configured(config) => Some((config.address, config.router, config.dns_servers)),
            dhcpv4::Event::Deconfigured => None,
        });
        dhcp.due = self.interface.poll_at(world.now, &dhcp.set);
        match event {
            Some(Some((address, router, servers))) => {
                self.addressing.set(&mut self.interface, Some(address), router, &servers);
                self.touch_all();
            }
            Some(None) if self.addressing.v4.is_some() => {
                self.addressing.set(&mut self.interface, None, None, &[]);
                self.touch_all();
            }
            _ => {}
        }
        true
    }

    /// Everybody may have something to send now.
    pub(super) fn touch_all(&mut self) {
        for number in self.sockets.numbers().collect::<Vec<_>>() {
            self.touch(number);
        }
    }
}

/// RFC 4291 §2.5.6 with an interface identifier from the station's address (appendix A).
fn link_local(EthernetAddress(station): EthernetAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = station;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}
