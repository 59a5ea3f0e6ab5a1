//! `std::time`.

use crate::{Case, saw};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) const CASES: &[Case] = &[
    ("Instant", instant),
    ("Instant is monotonic between threads", monotonic),
    ("SystemTime", system_time),
    ("Duration", duration),
];

fn instant() {
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    saw!("difference", later - now);
    saw!("duration_since saturates", now.duration_since(later));
    saw!("checked", (later.checked_duration_since(now), now.checked_duration_since(later)));
    saw!("checked_add too far", now.checked_add(Duration::MAX).is_none());
    saw!("checked_sub too far", now.checked_sub(Duration::MAX).is_none());
    saw!("order", (now < later, now.max(later) == later));
    thread::sleep(Duration::from_millis(3));
    saw!("elapsed", now.elapsed() >= Duration::from_millis(3));
    saw!("of the future", later.elapsed());
    let mut steps = 0;
    let (mut last, start) = (Instant::now(), Instant::now());
    while start.elapsed() < Duration::from_millis(5) {
        let next = Instant::now();
        assert!(next >= last);
        steps += u32::from(next > last);
        last = next;
    }
    saw!("advances in small steps", steps > 100);
}

fn monotonic() {
    let last = Mutex::new(Instant::now());
    let back: u32 = thread::scope(|s| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| {
                    (0..2000)
                        .filter(|_| {
                            let mut last = last.lock().unwrap();
                            let now = Instant::now();
                            let backwards = now < *last;
                            *last = now;
                            backwards
                        })
                        .count() as u32
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    saw!("times it went back", back);
}

fn system_time() {
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap();
    saw!("in this century", (1_700_000_000..4_000_000_000).contains(&since.as_secs()));
    let error = UNIX_EPOCH.duration_since(UNIX_EPOCH + Duration::from_secs(3)).unwrap_err();
    saw!("error", (error.duration(), error.to_string()));
    let before = UNIX_EPOCH - Duration::new(1, 1);
    saw!("before 1970", UNIX_EPOCH.duration_since(before));
    saw!("checked", (UNIX_EPOCH.checked_add(Duration::MAX).is_none(), UNIX_EPOCH.checked_sub(Duration::MAX).is_none()));
    saw!("same as epoch", SystemTime::UNIX_EPOCH == UNIX_EPOCH);
    let (wall, mono) = (SystemTime::now(), Instant::now());
    thread::sleep(Duration::from_millis(30));
    let (wall, mono) = (wall.elapsed().unwrap_or_default(), mono.elapsed());
    saw!("both clocks go alike", wall.abs_diff(mono) < Duration::from_millis(20));
}

fn duration() {
    let length = Duration::new(3, 500_000_000);
    saw!("parts", (length.as_secs(), length.subsec_millis(), length.as_micros(), length.as_nanos()));
    saw!("floats", (length.as_secs_f64(), Duration::from_secs_f64(0.1), Duration::from_secs_f32(1.7)));
    saw!("try_from_secs_f64", Duration::try_from_secs_f64(-1.0).map_err(|e| e.to_string()));
    saw!("try_from_secs_f64", Duration::try_from_secs_f64(f64::NAN).map_err(|e| e.to_string()));
    saw!("arithmetic", (length * 3, length / 7, length + length, length.saturating_sub(length * 2)));
    saw!("mul_f64", (length.mul_f64(2.5), length.div_f64(3.0), length.div_duration_f64(length * 4)));
    saw!("checked", (Duration::MAX.checked_add(length), Duration::ZERO.checked_sub(length)));
    saw!(
        "display",
        format!("{:?} {:?} {:?} {:.2?}", Duration::from_nanos(1500), Duration::from_millis(2), length, length)
    );
    saw!("sum", [length; 4].iter().sum::<Duration>());
}
