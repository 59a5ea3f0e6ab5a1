//! The smoke run: a target's corpus, and a fixed number of mutations of it from a fixed seed.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// No input may take this long, nor all of one target together.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the corpus of `name` and `rounds` mutations through `body`. A panic fails as such, a hang by the clock.
pub(crate) fn smoke(name: &str, body: fn(&[u8]), rounds: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("no corpus at {}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a corpus file")).collect();
    assert!(!corpus.is_empty(), "the corpus of {name} is empty");
    let (done, ended) = channel();
    let run = std::thread::spawn(move || {
        corpus.iter().for_each(|input| body(input));
        let mut random = Random(0x5eed);
        for _ in 0..rounds {
            let mut input = corpus[random.below(corpus.len())].clone();
            (0..=random.below(4)).for_each(|_| mutate(&mut input, &corpus, &mut random));
            body(&input);
        }
        _ = done.send(());
    });
    match ended.recv_timeout(PATIENCE) {
        Err(RecvTimeoutError::Timeout) => panic!("{name} hangs"),
        _ => run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    const TELLING: [u64; 8] = [0, 1, 0x7f, 0x8000, u32::MAX as u64, 1 << 63, u64::MAX, 0x0010_0000];
    let at = random.below(input.len() + 1);
    match random.below(7) {
        0 => input.truncate(at),
        1 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        2 => {
            let more: Vec<u8> = (0..random.below(24)).map(|_| random.next() as u8).collect();
            input.splice(at..at, more);
        }
        3 | 4 => {
            let bytes = TELLING[random.below(TELLING.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)];
            input.iter_mut().skip(at).zip(&bytes[..width]).for_each(|(to, from)| *to = *from);
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

/// Knuth's generator: the same inputs everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound.max(1)
    }
}
