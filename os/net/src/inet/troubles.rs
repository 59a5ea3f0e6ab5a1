//! What errors on the way mean to sockets: ICMP's reports, and neighbours that are not there.

use super::{Inet, World};
use crate::errno::{ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH_NUMBER};
use crate::ip::icmp::{Report, Trouble};
use crate::ip::packet::{ETHERNET, Outgoing, TCP};
use crate::tcp::{Failure, State};
use crate::time::Duration;
use core::net::IpAddr;

/// A connection whose neighbour is not there tries again after this long.
const AGAIN: Duration = Duration::from_secs(1);

impl Trouble {
    /// As the program is told (Linux's icmp_err_convert).
    fn errno(self) -> i32 {
        match self {
            Trouble::Port => ECONNREFUSED,
            Trouble::Network => ENETUNREACH_NUMBER,
            Trouble::Host | Trouble::Forbidden => EHOSTUNREACH,
            Trouble::TooBig(_) => EMSGSIZE_NUMBER,
        }
    }
}

const EMSGSIZE_NUMBER: i32 = match EMSGSIZE {
    device::Error::Errno(number) => number,
    _ => 0,
};

impl Inet {
    /// A router or host tells of a packet of ours. Anybody could: what it quotes must be under way.
    pub(super) fn reported(&mut self, world: World<'_>, report: Report) {
        if !self.has_address(report.local.ip()) {
            return;
        }
        if report.protocol == TCP {
            return self.segment_reported(world, report);
        }
        let Some(number) = self.datagram_socket(report.local, report.remote) else { return };
        if let Trouble::TooBig(mtu) = report.trouble {
            return self.ip.narrow(world.now, report.remote.ip(), mtu);
        }
        // RFC 1122 §4.1.3.3; only a connected socket can know what it is about.
        let Some(socket) = self.sockets.get_mut(number) else { return };
        if socket.datagram().is_some_and(|d| d.peer == Some(report.remote)) {
            socket.error = Some(report.trouble.errno());
            socket.changed();
        }
    }

    fn segment_reported(&mut self, world: World<'_>, report: Report) {
        let flow = (report.local, report.remote);
        let Some(number) = self.flow(self.flow_hash(flow), flow) else { return };
        let Some(connection) = self.sockets.get_mut(number).and_then(|socket| socket.connection()) else { return };
        if !connection.tcb.is_under_way(report.sequence) {
            return;
        }
        match report.trouble {
            Trouble::TooBig(mtu) => {
                self.ip.narrow(world.now, report.remote.ip(), mtu);
                let mss = self.segment_size(world, report.remote.ip());
                if let Some(connection) = self.sockets.get_mut(number).and_then(|socket| socket.connection()) {
                    connection.tcb.narrow(mss);
                    self.touch(number);
                }
            }
            // RFC 5461 §4.1: a connection that is being made comes to nothing, one that stands waits for better times.
            trouble if connection.tcb.state() == State::SynSent => {
                connection.soft_error = Some(trouble.errno());
                self.fail(world, number, Failure::Refused);
            }
            trouble => connection.soft_error = Some(trouble.errno()),
        }
    }

    fn fail(&mut self, world: World<'_>, number: u32, failure: Failure) {
        let Some(connection) = self.sockets.get_mut(number).and_then(|socket| socket.connection()) else { return };
        let before = connection.snapshot();
        connection.tcb.fail(failure);
        self.settle(world, number, before);
    }

    /// Neighbours were heard of, or given up: who waited for them is told.
    pub(super) fn neighbours_changed(&mut self) {
        for number in core::mem::take(&mut self.ip.ready.sockets) {
            self.touch(number);
        }
    }

    /// Those whose neighbour is not there.
    pub(super) fn neighbours_failed(&mut self, world: World<'_>) {
        let failed = core::mem::take(&mut self.ip.failed);
        for number in failed.sockets {
            let Some(connection) = self.sockets.get_mut(number).and_then(|socket| socket.connection()) else {
                continue;
            };
            connection.soft_error = Some(EHOSTUNREACH);
            if connection.tcb.state() == State::SynSent {
                self.fail(world, number, Failure::Refused);
            } else {
                self.set_timer(number, Some(world.now + AGAIN));
            }
        }
        for (number, frame) in failed.frames {
            let Some(socket) = self.sockets.get_mut(number) else { continue };
            if socket.datagram().is_some_and(|d| d.peer.is_some_and(|peer| is_to(&frame, peer.ip()))) {
                socket.error = Some(EHOSTUNREACH);
                socket.changed();
            }
        }
    }
}

/// Is a frame that we made for this destination?
fn is_to(frame: &[u8], destination: IpAddr) -> bool {
    let header = Outgoing::new(destination, destination, 0, 0).header();
    match destination {
        IpAddr::V4(v4) => frame.get(ETHERNET + 16..header) == Some(&v4.octets()),
        IpAddr::V6(v6) => frame.get(ETHERNET + 24..header) == Some(&v6.octets()),
    }
}
