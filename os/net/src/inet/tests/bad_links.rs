//! Transfers over bad links: every byte arrives, and how fast is a table that changes only with the code.

use super::{Pair, Station, address};
use device::testing::Faults;
use device::{Error, How, SocketId};

/// A link of 100 Mbit/s and 1 ms.
const LINK: Faults = Faults { loss: 0, duplicate: 0, corrupt: 0, reorder: 0, delay_us: 1000, bytes_per_ms: 12_500 };

/// The conditions, each with its name. Faults are in so many of a thousand frames.
const CONDITIONS: [(&str, Faults); 11] = [
    ("a good link", LINK),
    ("a long one, 40 ms", Faults { delay_us: 40_000, ..LINK }),
    ("loss of 0.1 %", Faults { loss: 1, ..LINK }),
    ("loss of 1 %", Faults { loss: 10, ..LINK }),
    ("loss of 5 %", Faults { loss: 50, ..LINK }),
    ("loss of 10 %", Faults { loss: 100, ..LINK }),
    ("loss of 1 %, 40 ms", Faults { loss: 10, delay_us: 40_000, ..LINK }),
    ("1 % duplicated", Faults { duplicate: 10, ..LINK }),
    ("1 % corrupted", Faults { corrupt: 10, ..LINK }),
    ("1 % overtaken", Faults { reorder: 10, ..LINK }),
    ("all of it", Faults { loss: 20, duplicate: 20, corrupt: 20, reorder: 20, ..LINK }),
];

/// The table as it was; `AMPOULE_BLESS=1` writes it anew.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/inet/tests/throughput.txt");

/// Byte number `at` of the stream that is sent.
fn byte(at: u64) -> u8 {
    ((at ^ at >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Bytes that are made at once.
const CHUNK: u64 = 256 << 10;

/// Sends so many bytes from station 0 to station 1 and looks at each; the virtual time that it took, in µs.
fn transfer(pair: &mut Pair, client: SocketId, server: SocketId, bytes: u64) -> u64 {
    let start = pair.now_us;
    let (mut sent, mut got) = (0, 0);
    let (mut chunk, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    // No frame is on its way and no timer runs: fine if everything was acknowledged, and the program has more to send.
    let mut is_idle = false;
    while got < bytes {
        let before = sent;
        while sent < bytes {
            if chunk.is_empty() {
                chunk = (sent..(sent + CHUNK).min(bytes)).map(byte).collect();
            }
            match call!(pair, 0, send, client, &chunk, None) {
                Ok(taken) => {
                    sent += taken as u64;
                    chunk.drain(..taken);
                }
                Err(Error::WouldBlock) => break,
                Err(error) => panic!("send: {error:?}"),
            }
        }
        if sent == bytes {
            let _ = call!(pair, 0, shutdown, client, How::Send);
        }
        if is_idle && sent == before {
            let ends = [pair.state(0, client), pair.state(1, server)].join("\n");
            panic!("nothing happens any more: {got} of {bytes}\n{ends}");
        }
        is_idle = !pair.step(u64::MAX);
        while let Ok(part) = pair.stations[1].inet.receive(server, &mut buffer, false) {
            for (offset, value) in buffer[..part.length].iter().enumerate() {
                assert_eq!(*value, byte(got + offset as u64), "byte {}", got + offset as u64);
            }
            got += part.length as u64;
            is_idle = false;
            if part.length == 0 {
                break;
            }
        }
        pair.stations.iter().for_each(|station: &Station| drop(station.frames.take()));
    }
    pair.now_us - start
}

/// kB a second of virtual time, frames that passed for each MB, and how often the retransmission timer ran out.
fn measure(faults: Faults, offload: bool, bytes: u64) -> (u64, u64, u32) {
    let mut pair = Pair::with(11, Faults { delay_us: 1000, ..Faults::default() }, 256, offload);
    let (client, server, _) = pair.connected(80);
    pair.stations[0].frames.inner().set_faults(faults);
    let before = pair.stations[0].frames.inner().passed();
    let took = transfer(&mut pair, client, server, bytes);
    let frames = pair.stations[0].frames.inner().passed() - before;
    (bytes * 1000 / took, frames * 1_000_000 / bytes, pair.timeouts(0, client))
}

#[test]
fn throughput_is_what_it_was() {
    let mut table = String::from("4 MB over 100 Mbit/s, 1 ms each way: kB/s, frames for each MB, timeouts\n");
    for (name, faults) in CONDITIONS {
        let (rate, frames, timeouts) = measure(faults, false, 4_000_000);
        table += &format!("{name:24} {rate:6} {frames:5} {timeouts:3}\n");
    }
    if std::env::var_os("AMPOULE_BLESS").is_some() {
        std::fs::write(TABLE, &table).unwrap();
    }
    let before = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(table, before, "AMPOULE_BLESS=1 takes the new table:\n{table}");
}

#[test]
fn segments_that_the_device_cuts_arrive_whole_over_bad_links() {
    // Corruption would go unseen: such a device says that it has looked at the checksums.
    let faults = Faults { loss: 20, duplicate: 20, reorder: 20, ..LINK };
    measure(faults, true, 4_000_000);
}

/// `cargo xtask gibibyte`, or `cargo test --release -p ampoule-net -- --ignored --nocapture gibibyte`: minutes.
#[test]
#[ignore = "minutes of work"]
fn a_gibibyte_arrives_whole_over_each_link() {
    for (name, faults) in CONDITIONS {
        let (rate, frames, timeouts) = measure(faults, false, 1 << 30);
        println!("{name:24} {rate:6} {frames:5} {timeouts:3}");
    }
}

#[test]
fn both_ends_at_once_over_a_bad_link() {
    let faults = Faults { loss: 30, duplicate: 10, corrupt: 10, reorder: 30, delay_us: 500, bytes_per_ms: 10_000 };
    let mut pair = Pair::new(5, faults);
    let (client, server, _) = pair.connected(80);
    let bytes = super::noise(300_000);
    let (mut sent, mut got) = ([0; 2], [Vec::new(), Vec::new()]);
    let ends = [client, server];
    while got.iter().any(|got| got.len() < bytes.len()) {
        for side in [0, 1] {
            if let Ok(taken) = call!(pair, side, send, ends[side], &bytes[sent[side]..], None) {
                sent[side] += taken;
            }
        }
        assert!(pair.step(3_600_000_000), "nothing happens any more");
        for side in [0, 1] {
            while let Ok(part) = pair.receive(side, ends[side]) {
                got[side].extend(part);
            }
        }
    }
    assert!(got.iter().all(|got| *got == bytes));
    assert_eq!(pair.stations[0].inet.peer(client), Ok(address(2, 80)));
}
