//! Which of a datagram socket's peers at loopback addresses are the host's own.
//!
//! Under our own monitors a client on the host is at 127.0.0.1, as a socket inside the machine is. An answer goes to where
//! the latest datagram from that port came from. A bit for each port: none is forgotten, however many there are.

use alloc::vec::Vec;
use core::net::SocketAddr;

/// 64 ports each.
const WORDS: usize = (1 << 16) / 64;

/// The ports; 8 KiB once the host has sent something.
#[derive(Default)]
pub(super) struct HostPeers {
    ports: Vec<u64>,
}

impl HostPeers {
    /// A datagram has come from `peer`: from the host, or from inside the machine.
    #[cold]
    pub(super) fn heard(&mut self, peer: SocketAddr, is_host: bool) {
        if self.ports.is_empty() {
            if !is_host || self.ports.try_reserve_exact(WORDS).is_err() {
                return;
            }
            self.ports.resize(WORDS, 0);
        }
        let (word, bit) = place(peer);
        if let Some(word) = self.ports.get_mut(word) {
            *word = if is_host { *word | bit } else { *word & !bit };
        }
    }

    /// Is `peer` one of the host's?
    pub(super) fn has(&self, peer: SocketAddr) -> bool {
        let (word, bit) = place(peer);
        self.ports.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn place(peer: SocketAddr) -> (usize, u64) {
    (usize::from(peer.port() / 64), 1 << (peer.port() % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn none_of_many_is_forgotten() {
        let mut peers = HostPeers::default();
        assert!(!peers.has(peer(7)));
        for port in (1..=u16::MAX).step_by(3) {
            peers.heard(peer(port), true);
        }
        for port in 1..=u16::MAX {
            assert_eq!(peers.has(peer(port)), port % 3 == 1, "{port}");
        }
    }

    #[test]
    fn the_latest_word_counts() {
        let mut peers = HostPeers::default();
        peers.heard(peer(7), false);
        assert!(peers.ports.is_empty(), "memory for nothing");
        peers.heard(peer(7), true);
        assert!(peers.has(peer(7)) && !peers.has(peer(8)));
        peers.heard(peer(7), false);
        assert!(!peers.has(peer(7)));
    }
}
