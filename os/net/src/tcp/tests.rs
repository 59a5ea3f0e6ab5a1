//! One block against hand-made segments: a test a clause.

use super::segment::{ACK, Blocks, FIN, Header, Options, PSH, RST, SYN, Segment};
use super::seq::Seq;
use super::{Failure, KeepAlive, Sink, State, Tcb, Terms, Verdict};
use crate::time::{Duration, Instant};

const TERMS: Terms = Terms { mss: 1000, receive_room: 10_000, send_room: 100_000 };
const OURS: Seq = Seq(u32::MAX - 500);
const THEIRS: Seq = Seq(7000);

/// What was sent: header and payload.
#[derive(Default)]
struct Sent(Vec<(Header, Vec<u8>)>);

impl Sink for Sent {
    fn most(&self) -> usize {
        1
    }

    fn send(&mut self, header: &Header, payload: [&[u8]; 2], cut: usize) -> bool {
        let bytes = payload.concat();
        assert!(bytes.len() <= cut || bytes.is_empty());
        self.0.push((*header, bytes));
        true
    }
}

struct End {
    tcb: Tcb,
    now: Instant,
}

impl End {
    /// An established connection, without options, with a peer's window of 20,000.
    fn established() -> Self {
        Self::with(Options { mss: Some(1000), ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut end = Self { tcb: Tcb::connect(now, OURS, TERMS), now };
        let sent = end.output();
        assert_eq!((sent.len(), sent[0].0.seq, sent[0].0.flags), (1, OURS, SYN));
        end.input(Header { seq: THEIRS, ack: OURS + 1, flags: SYN | ACK, window: 20_000, options }, b"");
        assert_eq!(end.tcb.state(), State::Established);
        let sent = end.output();
        assert_eq!((sent.len(), sent[0].0.flags, sent[0].0.ack), (1, ACK, THEIRS + 1));
        end
    }

    fn input(&mut self, header: Header, payload: &[u8]) -> Verdict {
        let Header { seq, ack, flags, window, options } = header;
        self.tcb.input(self.now, &Segment { seq, ack, flags, window, options, payload })
    }

    /// A segment `at` bytes into the peer's stream that acknowledges `ack` bytes of ours.
    fn segment(&mut self, at: usize, ack: usize, flags: u8, payload: &[u8]) -> Verdict {
        let header = Header { seq: THEIRS + 1 + at, ack: OURS + 1 + ack, flags, window: 20_000, ..Header::default() };
        self.input(header, payload)
    }

    fn output(&mut self) -> Vec<(Header, Vec<u8>)> {
        let mut sent = Sent::default();
        assert!(self.tcb.output(self.now, &mut sent));
        sent.0
    }

    /// The time of the next timer, and what is sent then.
    fn wait(&mut self) -> Vec<(Header, Vec<u8>)> {
        self.now = self.tcb.deadline().expect("a timer");
        self.tcb.on_time(self.now);
        self.output()
    }

    fn read(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.tcb.readable()];
        self.tcb.receive(&mut bytes, false);
        bytes
    }
}

/// Where in our stream the segments begin.
fn places(sent: &[(Header, Vec<u8>)]) -> Vec<usize> {
    sent.iter().map(|(header, _)| header.seq.past(OURS + 1)).collect()
}

#[test]
fn a_request_is_repeated_with_growing_pauses_and_given_up() {
    let start = Instant::from_micros(0);
    let mut end = End { tcb: Tcb::connect(start, OURS, TERMS), now: start };
    end.output();
    let mut at = Vec::new();
    while end.tcb.state() != State::Closed {
        let sent = end.wait();
        at.push(end.now.micros() / 1_000_000);
        assert!(sent.iter().all(|(header, _)| header.flags == SYN));
    }
    // RFC 6298 §5.5; 127 s after the first, as on Linux.
    assert_eq!(at, [1, 3, 7, 15, 31, 63, 127]);
    assert_eq!(end.tcb.take_failure(), Some(Failure::TimedOut));
}

#[test]
fn a_wrong_acknowledgement_of_a_request_is_reset_and_a_reset_refuses() {
    let now = Instant::from_micros(0);
    let mut end = End { tcb: Tcb::connect(now, OURS, TERMS), now };
    end.output();
    assert_eq!(end.segment(0, 1, SYN | ACK, b""), Verdict::Refuse);
    assert_eq!(end.segment(0, 1, RST | ACK, b""), Verdict::Taken);
    assert_eq!(end.tcb.state(), State::SynSent);
    assert_eq!(end.segment(0, 0, RST | ACK, b""), Verdict::Taken);
    assert_eq!(end.tcb.take_failure(), Some(Failure::Refused));
}

#[test]
fn only_the_exact_reset_ends_a_connection() {
    // RFC 5961 §3.2.
    let mut end = End::established();
    end.segment(100, 0, RST, b"");
    assert_eq!((end.tcb.state(), end.output().len()), (State::Established, 1));
    end.segment(200, 0, RST, b"");
    assert_eq!(end.output().len(), 0, "challenges have a limit");
    end.segment(60_000, 0, RST, b"");
    assert_eq!(end.output().len(), 0, "outside the window there is no answer");
    end.segment(0, 0, RST, b"");
    assert_eq!((end.tcb.state(), end.tcb.take_failure()), (State::Closed, Some(Failure::Reset)));
}

#[test]
fn a_request_within_a_connection_is_challenged() {
    // RFC 5961 §4.2.
    let mut end = End::established();
    end.segment(50, 0, SYN, b"");
    let sent = end.output();
    assert_eq!((end.tcb.state(), sent.len(), sent[0].0.flags, sent[0].0.ack), (State::Established, 1, ACK, THEIRS + 1));
}

#[test]
fn acknowledgements_of_what_was_not_sent_are_ignored() {
    // RFC 5961 §5.2.
    let mut end = End::established();
    end.tcb.send(b"hello");
    end.output();
    end.segment(0, 6, ACK, b"data");
    assert_eq!((end.tcb.pending(), end.tcb.readable()), (5, 0));
    end.segment(0, 5, ACK, b"data");
    assert_eq!((end.tcb.pending(), end.tcb.readable()), (0, 4));
}

#[test]
fn every_second_segment_is_acknowledged_at_once_and_one_alone_later() {
    // RFC 9293 §3.8.6.3.
    let mut end = End::established();
    end.segment(0, 0, ACK, &[1; 1000]);
    assert_eq!(end.output().len(), 0);
    end.segment(1000, 0, ACK, &[1; 1000]);
    assert_eq!(end.output()[0].0.ack, THEIRS + 2001);
    end.segment(2000, 0, ACK, &[1; 10]);
    assert_eq!(end.output().len(), 0);
    let before = end.now;
    assert_eq!(end.wait()[0].0.ack, THEIRS + 2011);
    assert_eq!(end.now.since(before), Duration::from_millis(40));
    // An answer takes it along.
    end.segment(2010, 0, ACK, &[1; 10]);
    end.tcb.send(b"answer");
    let sent = end.output();
    assert_eq!((sent.len(), sent[0].0.ack, sent[0].0.flags), (1, THEIRS + 2021, ACK | PSH));
    assert_eq!(end.read().len(), 2020);
}

#[test]
fn what_comes_early_is_kept_and_told() {
    // RFC 2018 §4, RFC 5681 §4.2.
    let mut end = End::with(Options { mss: Some(1000), sack_permitted: true, ..Options::default() });
    end.segment(1000, 0, ACK, &[2; 1000]);
    let sent = end.output();
    assert_eq!((sent[0].0.ack, sent[0].0.options.sack.as_slice()), (THEIRS + 1, &[(THEIRS + 1001, THEIRS + 2001)][..]));
    // An end that comes early waits for its place.
    end.segment(2000, 0, ACK | FIN, b"");
    assert_eq!(end.tcb.state(), State::Established);
    end.segment(0, 0, ACK, &[1; 1000]);
    assert_eq!((end.tcb.state(), end.read().len()), (State::CloseWait, 2000));
    assert_eq!(end.output()[0].0.ack, THEIRS + 2002);
}

#[test]
fn three_repeated_acknowledgements_send_the_lost_segment_again() {
    // RFC 5681 §3.2, without selective acknowledgements.
    let mut end = End::established();
    end.tcb.send(&[5; 30_000]);
    assert_eq!(places(&end.output()), (0..10).map(|n| n * 1000).collect::<Vec<_>>());
    for _ in 0..2 {
        end.segment(0, 0, ACK, b"");
        assert_eq!(end.output().len(), 1, "RFC 3042: a new one for each");
    }
    end.segment(0, 0, ACK, b"");
    assert_eq!(places(&end.output())[0], 0);
    // A part arrives: the next is lost as well (RFC 6582 §3.2).
    end.segment(0, 1000, ACK, b"");
    assert_eq!(places(&end.output())[0], 1000);
}

#[test]
fn selective_acknowledgements_have_the_holes_sent_again_and_nothing_else() {
    let mut end = End::with(Options { mss: Some(1000), sack_permitted: true, ..Options::default() });
    end.tcb.send(&[5; 10_000]);
    assert_eq!(end.output().len(), 10);
    let mut sack = Blocks::default();
    for (from, to) in [(1000, 2000), (3000, 10_000)] {
        sack.push((OURS + 1 + from, OURS + 1 + to));
    }
    let options = Options { sack, ..Options::default() };
    end.input(Header { seq: THEIRS + 1, ack: OURS + 1, flags: ACK, window: 20_000, options }, b"");
    assert_eq!(places(&end.output()), [0, 2000]);
    end.segment(0, 10_000, ACK, b"");
    assert_eq!((end.tcb.pending(), end.tcb.deadline()), (0, None));
}

/// A connection with selective acknowledgements, and so many bytes under way since now.
fn with_flight(bytes: usize) -> End {
    let mut end = End::with(Options { mss: Some(1000), sack_permitted: true, ..Options::default() });
    end.tcb.send(&vec![5; bytes]);
    assert_eq!(end.output().len(), bytes.div_ceil(1000));
    end
}

/// The peer has `ack` bytes, and those from `from` to `to`.
fn tells(end: &mut End, ack: usize, from: usize, to: usize) {
    let mut sack = Blocks::default();
    sack.push((OURS + 1 + from, OURS + 1 + to));
    let options = Options { sack, ..Options::default() };
    end.input(Header { seq: THEIRS + 1, ack: OURS + 1 + ack, flags: ACK, window: 20_000, options }, b"");
}

#[test]
fn what_was_sent_again_and_is_lost_again_is_known_from_what_was_sent_after_it() {
    // RFC 8985 §6.2: long before the timeout.
    let mut end = with_flight(10_000);
    end.now = end.now + Duration::from_millis(1);
    end.tcb.send(&[6; 20_000]);
    tells(&mut end, 0, 1000, 10_000);
    let sent = places(&end.output());
    assert_eq!(sent[..2], [0, 10_000], "the hole, then new data");
    // The new data arrives, the hole does not: it was lost once more.
    end.now = end.now + Duration::from_millis(1);
    tells(&mut end, 0, 1000, 11_000);
    assert_eq!(places(&end.output())[0], 0);
    // And once more: what had been sent by then tells nothing, what is sent now does.
    end.now = end.now + Duration::from_millis(1);
    let before = end.tcb.sent_end().past(OURS + 1);
    tells(&mut end, 0, 1000, before);
    assert_eq!(places(&end.output())[0], before);
    tells(&mut end, 0, 1000, before + 1000);
    assert_eq!(places(&end.output())[0], 0);
    assert_eq!(end.tcb.timeouts, 0);
}

#[test]
fn what_is_overtaken_is_no_loss_and_what_stays_away_is_after_the_reordering_window() {
    // RFC 8985 §6.2 step 4: fewer than three segments beyond the hole prove nothing.
    let mut end = with_flight(5000);
    tells(&mut end, 0, 1000, 2000);
    assert_eq!(end.output().len(), 0);
    end.segment(0, 2000, ACK, b"");
    assert_eq!(end.output().len(), 0);
    // It has happened once: now not even three do at once.
    tells(&mut end, 2000, 3000, 5000);
    end.tcb.send(&[6; 2000]);
    assert_eq!(places(&end.output()), [5000, 6000]);
    tells(&mut end, 2000, 3000, 7000);
    assert_eq!(end.output().len(), 0);
    // Time does: a timer of its own, long before that of retransmission.
    let before = end.now;
    assert_eq!(places(&end.wait()), [2000]);
    assert_eq!(end.now.since(before), Duration::from_millis(1));
    assert_eq!(end.tcb.timeouts, 0);
}

#[test]
fn a_lost_tail_is_probed_and_made_good_long_before_the_timeout() {
    // RFC 8985 §7.2, §7.3: no new data, so the last segment again.
    let mut end = with_flight(5000);
    let start = end.now;
    assert_eq!(places(&end.wait()), [4000]);
    assert_eq!(end.now.since(start), Duration::from_millis(8));
    // The peer has the probe and the first segment: all between is lost, and is sent at once.
    tells(&mut end, 1000, 4000, 5000);
    assert_eq!(places(&end.output()), [1000, 2000]);
    tells(&mut end, 3000, 4000, 5000);
    assert_eq!(places(&end.output()), [3000]);
    end.segment(0, 5000, ACK, b"");
    assert_eq!((end.tcb.pending(), end.tcb.deadline()), (0, None));
}

#[test]
fn a_probe_is_new_data_where_there_is_some_and_its_own_loss_is_left_to_the_timeout() {
    let mut end = with_flight(10_000);
    end.tcb.send(&[6; 1500]);
    assert_eq!(end.output().len(), 0, "the window is full");
    assert_eq!(places(&end.wait()), [10_000]);
    let probed = end.now;
    // One probe, then the timer: RFC 8985 §7.3.
    assert_eq!(places(&end.wait()), [0]);
    assert!(end.now.since(probed) >= Duration::from_millis(200), "{:?}", end.now.since(probed));
}

#[test]
fn a_probe_that_made_a_loss_good_costs_a_part_of_the_window_and_a_needless_one_nothing() {
    // RFC 8985 §7.4.2: what was lost was the last segment alone.
    let window = |lost: bool| {
        let mut end = with_flight(3000);
        assert_eq!(places(&end.wait()), [2000]);
        end.segment(0, 3000, ACK, b"");
        if !lost {
            // The peer had it, and says so of the probe as well.
            end.segment(0, 3000, ACK, b"");
        }
        end.tcb.send(&[7; 1000]);
        assert_eq!(end.output().len(), 1);
        end.segment(0, 4000, ACK, b"");
        end.tcb.send(&[8; 20_000]);
        end.output().len()
    };
    assert_eq!((window(true), window(false)), (7, 10));
}

#[test]
fn a_lonely_segment_and_a_peer_without_selective_acknowledgements_are_not_probed() {
    let mut end = with_flight(1000);
    let start = end.now;
    assert_eq!(places(&end.wait()), [0]);
    assert!(end.now.since(start) >= Duration::from_millis(200));
    let mut end = End::established();
    end.tcb.send(&[5; 5000]);
    assert_eq!(end.output().len(), 5);
    let start = end.now;
    end.wait();
    assert!(end.now.since(start) >= Duration::from_millis(200));
}

#[test]
fn a_timeout_sends_all_again_beginning_with_one() {
    // RFC 5681 §3.1, RFC 6298 §5.
    let mut end = End::established();
    end.tcb.send(&[5; 5000]);
    assert_eq!(end.output().len(), 5);
    let first = end.now;
    assert_eq!(places(&end.wait()), [0]);
    let pause = end.now.since(first);
    let second = end.now;
    assert_eq!(places(&end.wait()), [0]);
    assert_eq!(end.now.since(second), pause.times(2));
    end.segment(0, 1000, ACK, b"");
    assert_eq!(places(&end.output()), [1000, 2000]);
    // The peer had the rest: nothing is sent twice without need.
    end.segment(0, 5000, ACK, b"");
    assert_eq!(end.output().len(), 0);
}

#[test]
fn a_closed_window_is_probed_and_never_given_up_while_it_is_answered() {
    // RFC 9293 §3.8.6.1.
    let mut end = End::established();
    end.input(Header { seq: THEIRS + 1, ack: OURS + 1, flags: ACK, window: 0, ..Header::default() }, b"");
    end.tcb.send(b"waiting");
    assert_eq!(end.output().len(), 0);
    for _ in 0..60 {
        let sent = end.wait();
        assert_eq!((sent.len(), sent[0].1.len(), sent[0].0.seq), (1, 0, OURS));
        end.input(Header { seq: THEIRS + 1, ack: OURS + 1, flags: ACK, window: 0, ..Header::default() }, b"");
    }
    end.segment(0, 0, ACK, b"");
    assert_eq!(end.output()[0].1, b"waiting");
}

#[test]
fn a_probe_has_a_number_that_the_peer_has_acknowledged() {
    let mut end = End::established();
    end.tcb.send(&[1; 5000]);
    assert_eq!(places(&end.output()), [0, 1000, 2000, 3000, 4000]);
    // All of it is lost but the first; and then there is room for less than a segment.
    assert_eq!(places(&end.wait()), [0]);
    let header = Header { seq: THEIRS + 1, ack: OURS + 1 + 1000, flags: ACK, window: 990, ..Header::default() };
    end.input(header, b"");
    assert!(end.output().is_empty());
    // What fits goes out after a while; what the peer has not room for is asked about, from where it surely is.
    let sent = end.wait();
    assert_eq!((places(&sent), sent[0].1.len()), (vec![1000], 990));
    end.input(Header { ack: OURS + 1 + 1990, window: 0, ..header }, b"");
    for _ in 0..3 {
        let sent = end.wait();
        assert_eq!((places(&sent), sent[0].1.len()), (vec![1989], 0));
    }
    // The peer opens: the rest follows, as far as the congestion window goes.
    end.input(Header { ack: OURS + 1 + 1990, window: 20_000, ..header }, b"");
    assert_eq!(places(&end.output()), [1990, 2990]);
}

#[test]
fn a_loss_after_two_gibibytes_without_one_is_still_seen() {
    let mut end = End::established();
    let mut acknowledged = 0;
    for _ in 0..(1u64 << 31) / 10_000 + 1 {
        end.tcb.send(&[1; 10_000]);
        end.output();
        acknowledged += 10_000;
        end.segment(0, acknowledged, ACK, b"");
    }
    end.tcb.send(&[1; 9000]);
    assert_eq!(end.output().len(), 9);
    for _ in 0..3 {
        end.segment(0, acknowledged, ACK, b"");
    }
    let again = end.output();
    assert_eq!(again[0].0.seq, OURS + 1 + acknowledged, "at once, not after a timeout");
}

#[test]
fn a_peer_that_answers_nothing_is_given_up_after_a_quarter_of_an_hour() {
    let mut end = End::established();
    let start = end.now;
    end.tcb.send(b"hello");
    end.output();
    while end.tcb.state() != State::Closed {
        end.wait();
    }
    let took = end.now.since(start).micros() / 1_000_000;
    assert!((924..1050).contains(&took), "{took} s");
    assert_eq!(end.tcb.take_failure(), Some(Failure::TimedOut));
}

#[test]
fn keep_alive_probes_so_often_and_then_resets() {
    let mut end = End::established();
    let keep = KeepAlive { idle: Duration::from_secs(10), interval: Duration::from_secs(2), count: 3 };
    end.tcb.set_keep_alive(Some(keep));
    let start = end.now;
    for probe in 0..3 {
        let sent = end.wait();
        assert_eq!((sent.len(), sent[0].0.seq, sent[0].0.flags), (1, OURS, ACK));
        assert_eq!(end.now.since(start), Duration::from_secs(10 + 2 * probe));
    }
    assert_eq!(end.wait()[0].0.flags, RST | ACK);
    assert_eq!(end.tcb.take_failure(), Some(Failure::TimedOut));
}

#[test]
fn ends_in_every_order() {
    // Ours first (RFC 9293 figure 5).
    let mut end = End::established();
    end.tcb.send(b"bye");
    end.tcb.close();
    let sent = end.output();
    assert_eq!((sent[0].0.flags, &sent[0].1[..], end.tcb.state()), (ACK | PSH | FIN, &b"bye"[..], State::FinWait1));
    end.segment(0, 4, ACK, b"");
    assert_eq!(end.tcb.state(), State::FinWait2);
    end.segment(0, 4, ACK | FIN, b"late");
    assert_eq!((end.tcb.state(), end.read()), (State::TimeWait, b"late".to_vec()));
    // Theirs first.
    let mut end = End::established();
    end.segment(0, 0, ACK | FIN, b"");
    assert_eq!(end.tcb.state(), State::CloseWait);
    end.tcb.close();
    assert_eq!(end.output()[0].0.flags, ACK | FIN);
    end.segment(1, 1, ACK, b"");
    assert_eq!(end.tcb.state(), State::Closed);
    assert_eq!(end.tcb.take_failure(), None);
    // Both at once (figure 6).
    let mut end = End::established();
    end.tcb.close();
    end.output();
    end.segment(0, 0, ACK | FIN, b"");
    assert_eq!(end.tcb.state(), State::Closing);
    end.segment(1, 1, ACK, b"");
    assert_eq!(end.tcb.state(), State::TimeWait);
}

#[test]
fn an_old_duplicate_with_a_timestamp_is_dropped() {
    // RFC 7323 §5.3.
    let stamped = |value| Options { timestamps: Some((value, 0)), ..Options::default() };
    let mut end = End::with(Options { mss: Some(1000), ..stamped(100) });
    let header = |value| Header { seq: THEIRS + 1, ack: OURS + 1, flags: ACK, window: 20_000, options: stamped(value) };
    end.input(header(99), b"old");
    assert_eq!(end.tcb.readable(), 0);
    end.input(header(101), b"new");
    assert_eq!(end.tcb.readable(), 3);
    // What is sent echoes the latest.
    end.tcb.send(b"x");
    assert_eq!(end.output()[0].0.options.timestamps.map(|(_, echo)| echo), Some(101));
}

#[test]
fn an_idle_connection_holds_no_memory() {
    let mut end = End::established();
    end.tcb.send(&[1; 5000]);
    end.output();
    end.segment(0, 5000, ACK, &[2; 3000]);
    end.read();
    assert_eq!(end.tcb.memory(), 0);
    println!("{} bytes", size_of::<Tcb>());
}
