//! Answers that are right, and answers that lie.

use super::*;

const NAME: &str = "www.example.org";

/// A response to the question for [`NAME`] with these records, each from its owner's name on.
fn response(kind: Kind, records: &[&[u8]]) -> Vec<u8> {
    let mut message = question(7, NAME, kind);
    message[2] = 0x81;
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    message.extend(records.concat());
    message
}

/// The question's name, which every message has at byte 12.
const ASKED: &[u8] = &[0xc0, 12];

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_be_bytes();
    [owner, &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length, data].concat()
}

/// An answer with an alias and two addresses.
fn answer() -> Vec<u8> {
    // The alias is 12 + 21 bytes in, and 12 more are its record's before its own name.
    let alias = record(ASKED, TYPE_CNAME, &[1, b'a', 0xc0, 16]);
    let owner = [0xc0, 33 + 12];
    let (one, two) = (record(&owner, 1, &[192, 0, 2, 1]), record(&owner, 1, &[192, 0, 2, 2]));
    response(Kind::A, &[&alias, &one, &two])
}

fn four(last: &[u8]) -> Reply {
    Reply::Addresses(last.iter().map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, *last))).collect())
}

#[test]
fn addresses_are_read_past_aliases() {
    assert_eq!(reply(&answer(), 7, "www.EXAMPLE.org.", Kind::A), four(&[1, 2]));
}

#[test]
fn addresses_of_ipv6_are_read() {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
    let message = response(Kind::Aaaa, &[&record(ASKED, 28, &ip.octets()), &record(ASKED, 1, &[1; 4])]);
    assert_eq!(reply(&message, 7, NAME, Kind::Aaaa), Reply::Addresses(vec![ip.into()]));
    assert_eq!(reply(&message, 7, NAME, Kind::A), Reply::Unrelated);
    let short = response(Kind::Aaaa, &[&record(ASKED, 28, &[1; 4])]);
    assert_eq!(reply(&short, 7, NAME, Kind::Aaaa), Reply::Addresses(vec![]));
}

#[test]
fn others_answers_do_not_count() {
    assert_eq!(reply(&answer(), 8, NAME, Kind::A), Reply::Unrelated);
    assert_eq!(reply(&answer(), 7, "www.example.com", Kind::A), Reply::Unrelated);
    assert_eq!(reply(&question(7, NAME, Kind::A), 7, NAME, Kind::A), Reply::Unrelated);
    let mut two = answer();
    two[5] = 2;
    assert_eq!(reply(&two, 7, NAME, Kind::A), Reply::Unrelated);
}

#[test]
fn addresses_of_other_names_do_not_count() {
    let other = b"\x04evil\x07example\x00";
    let message = response(Kind::A, &[&record(other, 1, &[6; 4]), &record(ASKED, 1, &[192, 0, 2, 9])]);
    assert_eq!(reply(&message, 7, NAME, Kind::A), four(&[9]));
}

#[test]
fn aliases_in_a_circle_end() {
    let there = record(ASKED, TYPE_CNAME, b"\x01b\x00");
    let back = record(b"\x01b\x00", TYPE_CNAME, ASKED);
    let records: Vec<&[u8]> = [&there[..], &back].into_iter().cycle().take(1000).collect();
    assert_eq!(reply(&response(Kind::A, &records), 7, NAME, Kind::A), Reply::Addresses(vec![]));
    let itself = record(ASKED, TYPE_CNAME, ASKED);
    let message = response(Kind::A, &[&itself, &record(ASKED, 1, &[192, 0, 2, 3])]);
    assert_eq!(reply(&message, 7, NAME, Kind::A), four(&[3]));
}

#[test]
fn names_that_lead_nowhere_or_in_a_circle_end() {
    let end = response(Kind::A, &[]).len() as u8;
    // To itself; forwards; to a pointer back to here; into the header, where labels are as they come.
    for owner in [[0xc0, end], [0xc0, end + 2], [0xff, 0xff], [0xc0, 0]] {
        let message = response(Kind::A, &[&record(&owner, 1, &[1; 4])]);
        assert_ne!(reply(&message, 7, NAME, Kind::A), Reply::Addresses(vec![[1; 4].into()]));
    }
    // Labels that grow by pointing at what stands before them.
    let start = usize::from(end) + 12;
    let place = |number: usize| if number == 0 { 12 } else { start + 10 * (number - 1) } as u16 | 0xc000;
    for (links, expected) in [(29, Reply::Addresses(vec![])), (40, Reply::Unrelated)] {
        let chain: Vec<u8> =
            (0..links).flat_map(|number| [&b"\x07abcdefg"[..], &place(number).to_be_bytes()].concat()).collect();
        let text = record(ASKED, 16, &chain);
        let message = response(Kind::A, &[&text, &record(&place(links).to_be_bytes(), 1, &[1; 4])]);
        assert_eq!(reply(&message, 7, NAME, Kind::A), expected, "{links}");
    }
}

#[test]
fn a_missing_name_has_no_addresses_and_a_failure_is_one() {
    let mut message = question(7, "a.b", Kind::A);
    message[2] = 0x81;
    message[3] = 3;
    assert_eq!(reply(&message, 7, "a.b", Kind::A), Reply::Addresses(Vec::new()));
    message[3] = 2;
    assert_eq!(reply(&message, 7, "a.b", Kind::A), Reply::Failed);
    message[2..4].copy_from_slice(&[0x83, 0]);
    assert_eq!(reply(&message, 7, "a.b", Kind::A), Reply::Truncated);
}

#[test]
fn an_oversize_answer_is_read_to_its_bound() {
    let one = record(ASKED, 1, &[192, 0, 2, 1]);
    let records = vec![&one[..]; 4090];
    let message = response(Kind::A, &records);
    assert!(message.len() > 65_000);
    assert_eq!(reply(&message, 7, NAME, Kind::A), four(&[1; ADDRESSES]));
}

#[test]
fn cut_and_mangled_answers_do_not_panic() {
    let whole = answer();
    for length in 0..whole.len() {
        assert_eq!(reply(&whole[..length], 7, NAME, Kind::A), Reply::Unrelated);
    }
    let mut random = crate::random::Random::new([1; 32]);
    for _ in 0..20_000 {
        let mut message = whole.clone();
        for _ in 0..4 {
            let at = random.below(message.len() as u32) as usize;
            message[at] = random.word() as u8;
        }
        reply(&message, 7, NAME, Kind::A);
    }
}

#[test]
fn names_have_bounds() {
    assert!(is_name("localhost") && is_name("a.b.") && !is_name("") && !is_name("a..b"));
    assert!(!is_name(&"a".repeat(64)) && !is_name(&["abcdefgh"; 29].join(".")));
}
