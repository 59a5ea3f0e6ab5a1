//! Names over the simulated link, from servers that answer, fall silent, and lie.

use super::{Counter, Pair, address};
use crate::dns::{self, Kind as Record};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use device::testing::Faults;
use device::{Error, Family, Kind, SocketId};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

const NAME: &str = "www.example.org";

fn six() -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5).into()
}

fn four(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// Two stations of which the second is a name server, whose sockets these are: datagrams, and a listener.
fn pair() -> (Pair, SocketId, SocketId) {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let server = pair.open(1, Kind::Datagram);
    pair.stations[1].inet.bind(server, SocketAddr::from(([0, 0, 0, 0], 53))).unwrap();
    let listener = pair.listener(1, 53, 4);
    pair.run(1_000_000);
    (pair, server, listener)
}

type Found = Option<Result<Vec<IpAddr>, Error>>;

fn ask(pair: &mut Pair, family: Option<Family>) -> crate::inet::Answer {
    let watch = Arc::new(Counter(AtomicU32::new(0)));
    call!(pair, 0, resolve, NAME, family, watch).unwrap()
}

/// The next question that came to the server, who asks, and for what.
fn question(pair: &mut Pair, server: SocketId) -> Option<(Vec<u8>, SocketAddr, Record)> {
    let mut buffer = [0; 512];
    let got = pair.stations[1].inet.receive(server, &mut buffer, false).ok()?;
    let kind = if buffer[got.length - 3] == 28 { Record::Aaaa } else { Record::A };
    Some((buffer[..got.length].to_vec(), got.from.unwrap(), kind))
}

/// The answer to a question: these addresses, as far as they are of its kind.
fn reply(question: &[u8], addresses: &[IpAddr]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] |= 0x80;
    let mut count = 0u16;
    for address in addresses {
        let (kind, data) = match address {
            IpAddr::V4(v4) => (1, v4.octets().to_vec()),
            IpAddr::V6(v6) => (28, v6.octets().to_vec()),
        };
        if kind == question[question.len() - 3] {
            message.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
            message.extend(data);
            count += 1;
        }
    }
    message[6..8].copy_from_slice(&count.to_be_bytes());
    message
}

fn tell(pair: &mut Pair, server: SocketId, message: &[u8], to: SocketAddr) {
    call!(pair, 1, send, server, message, Some(to)).unwrap();
    pair.run(1000);
}

fn nothing_is_left(pair: &Pair) {
    assert_eq!(pair.stations[0].inet.sockets.numbers().count(), 0);
}

#[test]
fn both_kinds_of_addresses_are_asked_for_and_what_cannot_be_reached_is_last() {
    let (mut pair, server, _) = pair();
    let answer = ask(&mut pair, None);
    pair.run(1000);
    let near = IpAddr::from([10, 0, 0, 9]);
    let mut kinds = Vec::new();
    while let Some((asked, from, kind)) = question(&mut pair, server) {
        kinds.push(kind);
        assert!(answer.lock().is_none());
        tell(&mut pair, server, &reply(&asked, &[six(), near]), from);
    }
    assert_eq!(kinds, [Record::A, Record::Aaaa]);
    // There is no router, so no way to the other one.
    assert_eq!(answer.lock().take(), Some(Ok(vec![near, six()])));
    nothing_is_left(&pair);
}

#[test]
fn only_the_family_that_is_wanted_is_asked_for() {
    for (family, kind) in [(Family::V4, Record::A), (Family::V6, Record::Aaaa)] {
        let (mut pair, server, _) = pair();
        let answer = ask(&mut pair, Some(family));
        pair.run(1000);
        let (asked, from, asked_for) = question(&mut pair, server).unwrap();
        assert_eq!(asked_for, kind);
        assert!(question(&mut pair, server).is_none());
        tell(&mut pair, server, &reply(&asked, &[]), from);
        assert_eq!(answer.lock().take(), Some(Err(Error::Errno(2))));
    }
}

#[test]
fn one_kind_that_is_never_answered_does_not_hide_the_other() {
    let (mut pair, server, _) = pair();
    let answer = ask(&mut pair, None);
    pair.run(1000);
    while let Some((asked, from, kind)) = question(&mut pair, server) {
        if kind == Record::A {
            tell(&mut pair, server, &reply(&asked, &[four(1)]), from);
        }
    }
    pair.run(2_000_000);
    assert!(answer.lock().is_none());
    pair.run(2_000_000);
    assert_eq!(answer.lock().take(), Some(Ok(vec![four(1)])));
    nothing_is_left(&pair);
}

#[test]
fn lies_are_passed_over_and_the_truth_still_counts() {
    let (mut pair, server, _) = pair();
    let other = pair.open(1, Kind::Datagram);
    pair.stations[1].inet.bind(other, SocketAddr::from(([0, 0, 0, 0], 54))).unwrap();
    let answer = ask(&mut pair, Some(Family::V4));
    pair.run(1000);
    let (asked, from, _) = question(&mut pair, server).unwrap();
    let truth = reply(&asked, &[four(1)]);
    let lie = reply(&asked, &[four(66)]);
    // Another number; another question; a question; no question; from another port; cut anywhere; nothing.
    let mut wrong_id = lie.clone();
    wrong_id[0] ^= 0x40;
    let mut wrong_question = lie.clone();
    wrong_question[14] ^= 1;
    let mut no_question = lie.clone();
    no_question[5] = 0;
    for message in [wrong_id, wrong_question, asked.clone(), no_question, Vec::new()] {
        tell(&mut pair, server, &message, from);
    }
    tell(&mut pair, other, &lie, from);
    for length in 0..lie.len() {
        tell(&mut pair, server, &lie[..length], from);
    }
    assert!(answer.lock().is_none());
    tell(&mut pair, server, &truth, from);
    assert_eq!(answer.lock().take(), Some(Ok(vec![four(1)])));
}

#[test]
fn silence_is_asked_again_and_ends() {
    let (mut pair, server, _) = pair();
    let answer = ask(&mut pair, None);
    let start = pair.now_us;
    let mut asked = 0;
    while answer.lock().is_none() {
        pair.run(100_000);
        while question(&mut pair, server).is_some() {
            asked += 1;
        }
        assert!(pair.now_us - start < 60_000_000);
    }
    assert_eq!((asked, answer.lock().take()), (8, Some(Err(Error::Errno(110)))));
    nothing_is_left(&pair);
}

#[test]
fn a_server_that_cannot_tell_is_followed_by_the_next() {
    let (mut pair, server, _) = pair();
    let silent = IpAddr::from([10, 0, 0, 77]);
    pair.stations[0].inet.configuration.name_servers.push(silent);
    let answer = ask(&mut pair, Some(Family::V4));
    pair.run(1000);
    let (asked, from, _) = question(&mut pair, server).unwrap();
    let mut failure = reply(&asked, &[]);
    failure[3] |= 2;
    tell(&mut pair, server, &failure, from);
    // The other one is asked at once, does not answer, and the first has its turn again.
    pair.run(2_500_000);
    assert!(question(&mut pair, server).is_none());
    pair.run(1_000_000);
    let (asked, from, _) = question(&mut pair, server).unwrap();
    tell(&mut pair, server, &reply(&asked, &[four(2)]), from);
    assert_eq!(answer.lock().take(), Some(Ok(vec![four(2)])));
}

/// What a server says that cannot tell, or will not (REFUSED).
fn refusal(question: &[u8]) -> Vec<u8> {
    let mut message = reply(question, &[]);
    message[3] |= 5;
    message
}

#[test]
fn a_server_that_refuses_one_kind_still_answers_the_other() {
    for (late, address) in [(Record::A, four(1)), (Record::Aaaa, six())] {
        let (mut pair, server, _) = pair();
        let answer = ask(&mut pair, None);
        pair.run(1000);
        let mut last = None;
        while let Some((asked, from, kind)) = question(&mut pair, server) {
            if kind == late {
                last = Some((asked, from));
            } else {
                tell(&mut pair, server, &refusal(&asked), from);
            }
        }
        pair.run(1_000_000);
        // It has its time for the other one, and nothing is asked meanwhile.
        assert!(answer.lock().is_none() && question(&mut pair, server).is_none());
        let (asked, from) = last.unwrap();
        tell(&mut pair, server, &reply(&asked, &[address]), from);
        assert_eq!(answer.lock().take(), Some(Ok(vec![address])));
        nothing_is_left(&pair);
    }
}

#[test]
fn a_refusal_of_one_kind_does_not_end_the_other_s_stream() {
    let (mut pair, server, listener) = pair();
    let answer = ask(&mut pair, None);
    let (asked, stream) = truncated(&mut pair, server, listener);
    let (other, from, kind) = question(&mut pair, server).unwrap();
    assert_eq!(kind, Record::Aaaa);
    tell(&mut pair, server, &refusal(&other), from);
    pair.run(1_000_000);
    let message = reply(&asked, &vec![four(3); 60]);
    let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    call!(pair, 1, send, stream, &framed, None).unwrap();
    pair.run(10_000);
    assert_eq!(answer.lock().take(), Some(Ok(vec![four(3); 32])));
    call!(pair, 1, close, stream);
    pair.run(1_000_000);
    nothing_is_left(&pair);
}

#[test]
fn who_refuses_both_kinds_is_not_waited_for() {
    let (mut pair, server, _) = pair();
    let answer = ask(&mut pair, None);
    let mut refused = 0;
    for _ in 0..8 {
        pair.run(1000);
        while let Some((asked, from, _)) = question(&mut pair, server) {
            tell(&mut pair, server, &refusal(&asked), from);
            refused += 1;
        }
    }
    assert_eq!((refused, answer.lock().take()), (8, Some(Err(Error::Errno(110)))));
    nothing_is_left(&pair);
}

/// Says that the answer is too long, and takes the connection that follows.
fn truncated(pair: &mut Pair, server: SocketId, listener: SocketId) -> (Vec<u8>, SocketId) {
    pair.run(1000);
    let (asked, from, _) = question(pair, server).unwrap();
    let mut short = reply(&asked, &[]);
    short[2] |= 2;
    tell(pair, server, &short, from);
    pair.run(100_000);
    let (stream, _) = pair.stations[1].inet.accept(listener).unwrap();
    pair.run(100_000);
    let framed = pair.receive(1, stream).unwrap();
    assert_eq!(framed[2..], asked, "the same question");
    assert_eq!(usize::from(u16::from_be_bytes([framed[0], framed[1]])), asked.len());
    (asked, stream)
}

#[test]
fn what_is_too_long_for_a_datagram_comes_by_a_stream() {
    let (mut pair, server, listener) = pair();
    let answer = ask(&mut pair, Some(Family::V4));
    let (asked, stream) = truncated(&mut pair, server, listener);
    // 64 KiB of answer, in pieces of any size.
    let message = reply(&asked, &vec![four(3); 4090]);
    assert!(message.len() > 65_000);
    let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let mut rest = &framed[..];
    while !rest.is_empty() {
        let most = (rest.len() / 3 + 1).min(rest.len());
        if let Ok(sent) = call!(pair, 1, send, stream, &rest[..most], None) {
            rest = &rest[sent..];
        }
        pair.run(1000);
    }
    let found: Found = answer.lock().take();
    assert_eq!(found, Some(Ok(vec![four(3); 32])));
    call!(pair, 1, close, stream);
    pair.run(1_000_000);
    nothing_is_left(&pair);
}

#[test]
fn a_stream_that_lies_ends_or_hangs_leads_to_the_next_try() {
    // An answer to something else; half an answer and the end; half an answer and nothing more; a reset.
    for trouble in 0..4 {
        let (mut pair, server, listener) = pair();
        let answer = ask(&mut pair, Some(Family::V4));
        let (asked, stream) = truncated(&mut pair, server, listener);
        let mut message = reply(&asked, &[four(9)]);
        message[0] ^= 0x80;
        let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
        let part = if trouble == 0 { &framed[..] } else { &framed[..20] };
        call!(pair, 1, send, stream, part, None).unwrap();
        pair.run(10_000);
        match trouble {
            3 => {
                pair.stations[1].inet.set_option(stream, device::SocketOption::Linger, 1).unwrap();
                call!(pair, 1, close, stream);
            }
            1 => call!(pair, 1, close, stream),
            _ => {}
        }
        pair.run(3_500_000);
        let (asked, from, _) = question(&mut pair, server).unwrap();
        tell(&mut pair, server, &reply(&asked, &[four(4)]), from);
        assert_eq!(answer.lock().take(), Some(Ok(vec![four(4)])), "{trouble}");
        call!(pair, 1, close, stream);
        pair.run(5_000_000);
        nothing_is_left(&pair);
    }
}

#[test]
fn nobody_at_the_stream_port_is_no_end() {
    let (mut pair, server, listener) = pair();
    call!(pair, 1, close, listener);
    let answer = ask(&mut pair, Some(Family::V4));
    for _ in 0..4 {
        pair.run(1000);
        let (asked, from, _) = question(&mut pair, server).unwrap();
        let mut short = reply(&asked, &[]);
        short[2] |= 2;
        tell(&mut pair, server, &short, from);
        pair.run(10_000);
    }
    assert_eq!(answer.lock().take(), Some(Err(Error::Errno(110))));
    nothing_is_left(&pair);
}

#[test]
fn a_message_is_never_the_other_kind_s_answer() {
    let message = dns::question(6, NAME, Record::A);
    assert_eq!(dns::reply(&reply(&message, &[four(1)]), 6, NAME, Record::Aaaa), dns::Reply::Unrelated);
    assert_eq!(address(2, 53).port(), 53);
}

#[test]
fn what_is_likely_to_be_reached_is_tried_first() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let order = |sources: &dyn Fn(IpAddr) -> Option<IpAddr>| {
        let mut all = ["fd00::5", "192.0.2.5", "2001:db8::5"].map(ip);
        all.sort_by_key(|address| crate::inet::resolve::preference(sources(*address), *address));
        all.map(|address| address.to_string()).join(" ")
    };
    let four = ip("10.0.0.1");
    let with = |six: &'static str| move |to: IpAddr| Some(if to.is_ipv4() { four } else { ip(six) });
    assert_eq!(order(&with("2001:db8::1")), "2001:db8::5 192.0.2.5 fd00::5");
    // A router that has addresses for a place of its own alone (QEMU's fec0::/64) does not lead to the world.
    assert_eq!(order(&with("fec0::1")), "192.0.2.5 2001:db8::5 fd00::5");
    assert_eq!(order(&with("fd00::1")), "192.0.2.5 fd00::5 2001:db8::5");
    assert_eq!(order(&|to| (!to.is_ipv4()).then(|| ip("2001:db8::1"))), "2001:db8::5 fd00::5 192.0.2.5");
    assert_eq!(order(&|_| None), "2001:db8::5 192.0.2.5 fd00::5");
}
