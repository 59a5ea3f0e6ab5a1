//! The interface's IPv4 address: as the boot information gives it, or from DHCP. IPv6 configures itself ([`crate::ip`]).

use super::{Inet, Network, World};
use crate::ip::dhcp::{Client, Event, Message};
use crate::ip::packet::{Outgoing, UDP};
use crate::ip::{Ip, V4, Wire};
use crate::random::Random;
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;

pub(super) struct Configuration {
    dhcp: Option<Client>,
    pub(super) name_servers: Vec<IpAddr>,
}

impl Configuration {
    pub(super) fn new(wire: Wire<'_>, ip: &mut Ip, network: Network, random: &mut Random) -> Self {
        let name_servers = network.name_server.map(IpAddr::from).into_iter().collect();
        match network.address {
            Some((address, prefix)) => {
                let gateway = network.gateway.map(Ipv4Addr::from);
                ip.set_v4(wire, Some(V4 { address: address.into(), prefix: prefix.min(32), gateway }));
                Self { dhcp: None, name_servers }
            }
            None => Self { dhcp: Some(Client::new(wire.now, wire.frames.address(), random)), name_servers },
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.dhcp.as_ref().map(|client| client.due)
    }
}

impl Inet {
    /// Where names are asked for, in order.
    #[inline(never)]
    pub(super) fn name_servers(&self) -> Vec<IpAddr> {
        self.configuration.name_servers.iter().copied().chain(self.ip.name_servers()).collect()
    }

    /// Lets DHCP do what is due; true if it did something.
    pub(super) fn configure(&mut self, world: World<'_>) -> bool {
        let Some(client) = self.configuration.dhcp.as_mut() else { return false };
        let (message, event) = client.on_time(world.now, &mut self.random);
        let any = message.is_some() || event.is_some();
        if let Some(message) = message {
            self.ask_server(world, message);
        }
        self.configured(world, event);
        any
    }

    fn ask_server(&mut self, world: World<'_>, (server, body): Message) {
        // RFC 2131 §4.1: from nobody until there is an address.
        let (source, destination) = match (server, self.ip.v4()) {
            (Some(server), Some(own)) => (own.address, server),
            _ => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
        };
        let outgoing = Outgoing::new(source.into(), destination.into(), UDP, 64);
        let mut datagram = [&[0; 8], &body[..]].concat();
        Ip::finish_datagram(&outgoing, &mut datagram, CLIENT_PORT, SERVER_PORT);
        self.ip.send(world.wire(), u32::MAX, &outgoing, &datagram);
    }

    /// A datagram for port 68; false if nobody here waits for one.
    pub(super) fn configured_by(&mut self, world: World<'_>, local: SocketAddr, from: SocketAddr, body: &[u8]) -> bool {
        let Some(client) = self.configuration.dhcp.as_mut() else { return false };
        if (local.port(), from.port()) != (CLIENT_PORT, SERVER_PORT) || local.is_ipv6() {
            return false;
        }
        let event = client.receive(world.now, body);
        self.configured(world, event);
        true
    }

    fn configured(&mut self, world: World<'_>, event: Option<Event>) {
        match event {
            Some(Event::Configured(lease)) => {
                let own = V4 { address: lease.address, prefix: lease.prefix, gateway: lease.router };
                self.configuration.name_servers = lease.name_servers.into_iter().map(IpAddr::V4).collect();
                if self.ip.v4() != Some(own) {
                    self.ip.set_v4(world.wire(), Some(own));
                    // What waited for an address may go on.
                    self.touch_all();
                }
            }
            // Connections stay: the same address is asked for again.
            Some(Event::Lost) => self.ip.set_v4(world.wire(), None),
            None => {}
        }
    }

    fn touch_all(&mut self) {
        for number in self.sockets.numbers().collect::<Vec<_>>() {
            self.touch(number);
        }
    }
}
