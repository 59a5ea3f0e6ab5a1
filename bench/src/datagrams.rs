//! Small datagrams to a server that sends each back: how many a second, with a given number of them under way.
//!
//! A datagram carries its number. One that has not come back in a while counts as lost, and another is sent in its place; one
//! that comes later than that, or twice, is none of ours any more. One with other contents makes the run invalid.

use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Bytes of a datagram.
const LENGTH: usize = 64;
/// What has not come back for so long is lost; and how often that is looked for.
const LOST: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(10);
/// With more lost than this, of a thousand, the rate would be about something else.
const MOST_LOST: f64 = 200.0;

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Datagrams that came back, a second.
    pub rate: f64,
    /// The time there and back, median and 99th percentile, µs.
    pub latencies_us: [f64; 2],
    /// Of a thousand sent, how many did not come back.
    pub lost_of_thousand: f64,
}

struct Window<'a> {
    socket: &'a UdpSocket,
    /// For each place in the window the number of the datagram under way and when it was sent.
    under_way: Vec<(u64, Instant)>,
    next: u64,
}

/// Keeps `window` datagrams under way for `duration` after `warm_up`.
pub fn run(server: SocketAddr, window: usize, warm_up: Duration, duration: Duration) -> Result<Report> {
    if window == 0 || duration.is_zero() {
        bail!("with no datagrams or no time there is nothing to measure");
    }
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(LOOK))?;
    let mut window = Window { socket: &socket, under_way: vec![(0, Instant::now()); window], next: 0 };
    (0..window.under_way.len()).try_for_each(|place| window.send(place))?;
    let start = Instant::now() + warm_up;
    let (mut latencies, mut lost) = (Vec::with_capacity(1 << 20), 0u64);
    let mut looked = start - warm_up;
    let mut bytes = [0; LENGTH + 1];
    loop {
        let received = socket.recv(&mut bytes);
        let now = Instant::now();
        if now >= start + duration {
            break;
        }
        if now - looked >= LOOK {
            looked = now;
            let replaced = window.replace(now)?;
            lost += if now >= start { replaced } else { 0 };
        }
        match received {
            Ok(length) => {
                let Some((place, sent)) = window.returned(&bytes[..length])? else { continue };
                if now >= start {
                    latencies.push((now - sent).as_secs_f64() * 1e6);
                }
                window.send(place)?;
            }
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(error) => return Err(error).context("receiving a datagram"),
        }
    }
    latencies.sort_by(f64::total_cmp);
    let came = latencies.len() as f64;
    let lost_of_thousand = lost as f64 * 1e3 / (came + lost as f64).max(1.0);
    if latencies.is_empty() || lost_of_thousand > MOST_LOST {
        bail!("{lost} datagrams were lost, and {came} came back");
    }
    let at = |fraction: f64| latencies[((latencies.len() - 1) as f64 * fraction) as usize];
    Ok(Report { rate: came / duration.as_secs_f64(), latencies_us: [at(0.5), at(0.99)], lost_of_thousand })
}

impl Window<'_> {
    fn send(&mut self, place: usize) -> Result<()> {
        self.next += 1;
        // Its number leads back to its place.
        let number = self.next * self.under_way.len() as u64 + place as u64;
        self.under_way[place] = (number, Instant::now());
        self.socket.send(&datagram(number)).context("sending a datagram")?;
        Ok(())
    }

    /// Sends others in the places of those that are lost, and gives their number.
    fn replace(&mut self, now: Instant) -> Result<u64> {
        let mut lost = 0;
        for place in 0..self.under_way.len() {
            if now.saturating_duration_since(self.under_way[place].1) >= LOST {
                self.send(place)?;
                lost += 1;
            }
        }
        Ok(lost)
    }

    /// The place in the window of one that came back, and when it was sent; `None` for one that counted as lost.
    fn returned(&self, bytes: &[u8]) -> Result<Option<(usize, Instant)>> {
        let number =
            bytes.first_chunk().map(|number| u64::from_le_bytes(*number)).context("a datagram is too short")?;
        if bytes != datagram(number) {
            bail!("another datagram came back than was sent");
        }
        let place = (number % self.under_way.len() as u64) as usize;
        let (expected, sent) = self.under_way[place];
        Ok((expected == number).then_some((place, sent)))
    }
}

fn datagram(number: u64) -> [u8; LENGTH] {
    let mut bytes = [number as u8; LENGTH];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// A server that does to each datagram what `change` says, and answers if it says so.
    fn server(mut change: impl FnMut(&mut [u8]) -> bool + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        thread::spawn(move || {
            let mut bytes = [0; 128];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                if change(&mut bytes[..length]) && socket.send_to(&bytes[..length], from).is_err() {
                    return;
                }
            }
        });
        address
    }

    fn short(server: SocketAddr) -> Result<Report> {
        run(server, 4, Duration::ZERO, Duration::from_millis(500))
    }

    #[test]
    fn datagrams_that_come_back_are_counted() {
        let report = short(server(|_| true)).expect("a report");
        assert!(report.rate > 100.0 && report.latencies_us[0] <= report.latencies_us[1], "{report:?}");
    }

    #[test]
    fn a_changed_datagram_makes_the_run_invalid() {
        let error = short(server(|bytes| {
            bytes[LENGTH - 1] ^= 1;
            true
        }));
        assert!(error.is_err_and(|error| error.to_string().contains("another datagram")));
    }

    #[test]
    fn without_answers_there_is_no_rate() {
        assert!(short(server(|_| false)).is_err_and(|error| error.to_string().contains("lost")));
    }

    #[test]
    fn a_lost_one_is_counted_and_replaced() {
        let mut count = 0;
        let report = short(server(move |_| {
            count += 1;
            count != 100
        }));
        let report = report.expect("a report");
        assert!(report.rate > 100.0 && report.lost_of_thousand > 0.0, "{report:?}");
    }
}
