//! How large a packet may be on its way to an address, where that is less than what the link takes (RFC 1191, RFC 8201).

use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Paths remembered; the oldest is forgotten for one more.
const MOST: usize = 64;
/// After this long the path may have become wider (RFC 1191 §6.3).
const LIFE: Duration = Duration::from_secs(600);
/// No less is believed: RFC 8200 §5 for IPv6, Linux's min_pmtu for IPv4, below which a message is an attack.
const LEAST_V4: usize = 552;
const LEAST_V6: usize = 1280;

#[derive(Default)]
pub(crate) struct Paths {
    /// Oldest first: where to, how large, until when.
    paths: Vec<(IpAddr, usize, Instant)>,
}

impl Paths {
    pub(crate) fn mtu(&self, now: Instant, destination: IpAddr) -> Option<usize> {
        self.paths.iter().find(|(to, _, until)| *to == destination && *until > now).map(|(_, mtu, _)| *mtu)
    }

    pub(crate) fn narrow(&mut self, now: Instant, destination: IpAddr, mtu: usize) {
        let mtu = mtu.max(if destination.is_ipv4() { LEAST_V4 } else { LEAST_V6 });
        // It only ever becomes narrower, until it is forgotten.
        let mtu = self.mtu(now, destination).map_or(mtu, |known| known.min(mtu));
        self.paths.retain(|(to, _, until)| *to != destination && *until > now);
        if self.paths.len() == MOST {
            self.paths.remove(0);
        }
        self.paths.push((destination, mtu, now + LIFE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_narrowed_within_reason_and_forgotten() {
        let (mut paths, now) = (Paths::default(), Instant::ZERO);
        let to = IpAddr::from([10, 0, 0, 1]);
        paths.narrow(now, to, 1400);
        paths.narrow(now, to, 1450);
        assert_eq!(paths.mtu(now, to), Some(1400));
        paths.narrow(now, to, 68);
        assert_eq!((paths.mtu(now, to), paths.mtu(now + LIFE, to)), (Some(LEAST_V4), None));
        for last in 0..200 {
            paths.narrow(now, IpAddr::from([10, 0, 1, last]), 1400);
        }
        assert_eq!((paths.paths.len(), paths.mtu(now, to)), (MOST, None));
    }
}
