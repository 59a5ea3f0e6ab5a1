//! An address from a server that disappears and comes back, and the connections that were made with it.

use super::{Pair, Station, address};
use crate::inet::Network;
use core::net::SocketAddr;
use device::testing::{Faults, Wire};
use device::{Family, Kind, SocketId, SocketOption};

const SECOND: u64 = 1_000_000;
const OFFER: u8 = 2;
const ACK: u8 = 5;

/// A server on station 1: it gives 10.0.0.1 for an hour.
struct Server(SocketId);

impl Server {
    fn new(pair: &mut Pair) -> Self {
        let inet = &mut pair.stations[1].inet;
        let socket = inet.open_socket(Family::V4, Kind::Datagram).unwrap();
        inet.bind(socket, SocketAddr::from(([0, 0, 0, 0], 67))).unwrap();
        inet.set_option(socket, SocketOption::Broadcast, 1).unwrap();
        Self(socket)
    }

    /// The kinds of the messages that came, all of them answered if it is there.
    fn serve(&self, pair: &mut Pair, is_there: bool) -> Vec<u8> {
        let mut kinds = Vec::new();
        let mut buffer = [0; 600];
        while let Ok(got) = pair.stations[1].inet.receive(self.0, &mut buffer, false) {
            let mut reply = buffer[..240.min(got.length)].to_vec();
            let kind = buffer[242];
            kinds.push(kind);
            if !is_there {
                continue;
            }
            reply[0] = 2;
            reply[16..20].copy_from_slice(&[10, 0, 0, 1]);
            reply.extend([53, 1, if kind == 1 { OFFER } else { ACK }, 54, 4, 10, 0, 0, 2, 51, 4, 0, 0, 14, 16]);
            reply.extend([1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 2, 6, 4, 10, 0, 0, 2, 255]);
            let to = match got.from {
                Some(from) if !from.ip().is_unspecified() => from,
                _ => SocketAddr::from(([255, 255, 255, 255], 68)),
            };
            call!(pair, 1, send, self.0, &reply, Some(to)).unwrap();
        }
        kinds
    }

    /// Lets so much time pass, in steps of a second.
    fn run(&self, pair: &mut Pair, seconds: u64, is_there: bool) -> Vec<u8> {
        let mut kinds = Vec::new();
        for _ in 0..seconds {
            pair.run(SECOND);
            kinds.extend(self.serve(pair, is_there));
            pair.stations.iter().for_each(|station| drop(station.frames.take()));
        }
        kinds
    }
}

#[test]
fn connections_outlive_a_server_that_disappears() {
    let (a, b) = Wire::pair(1, Faults { delay_us: 20, ..Faults::default() }, 64, false);
    let mut pair = Pair { stations: [Station::with(a, 1, Network::default()), Station::new(b, 2)], now_us: 0 };
    let server = Server::new(&mut pair);
    assert!(!pair.stations[0].inet.is_configured());
    assert_eq!(server.run(&mut pair, 3, true), [1, 3]);
    assert!(pair.stations[0].inet.has_address(address(1, 0).ip()));
    assert_eq!(pair.stations[0].inet.name_servers(), [address(2, 0).ip()]);
    let (client, accepted, _) = pair.connected(80);
    assert_eq!(pair.carry((0, client), (1, accepted), b"hello", SECOND), b"hello");
    // Renewed at half its time.
    assert_eq!(server.run(&mut pair, 1830, true), [3]);
    // Then the server is gone: it is asked again and again, the address is lost at its end, and is not used any more.
    let asked = server.run(&mut pair, 3550, false);
    assert!(asked.iter().all(|kind| *kind == 3) && asked.len() > 5, "{asked:?}");
    server.run(&mut pair, 40, false);
    assert!(!pair.stations[0].inet.is_configured());
    // It comes back, gives the same address, and the connection goes on.
    assert!(server.run(&mut pair, 90, true).starts_with(&[1]));
    assert!(pair.stations[0].inet.is_configured());
    assert_eq!(pair.carry((0, client), (1, accepted), b"again", 5 * SECOND), b"again");
    assert_eq!(pair.carry((1, accepted), (0, client), b"back", 5 * SECOND), b"back");
}
