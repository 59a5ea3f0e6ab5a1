//! `std::thread`.

use crate::{Case, outcome, saw};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, Builder, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    ("thread::spawn and JoinHandle", spawn),
    ("thread::Builder", builder),
    ("thread::Builder::stack_size", stack_sizes),
    ("thread::ThreadId", ids),
    ("thread::scope", scope),
    ("thread::park and unpark", park),
    ("thread::park_timeout", park_timeout),
    ("thread::sleep", sleep),
    ("thread::yield_now", yields),
    ("thread::available_parallelism", parallelism),
    ("JoinHandle::join of a thread that panicked", panicked),
    ("JoinHandle::is_finished", finished),
    ("a thread whose handle is dropped", detached),
    ("many threads at once", many),
    ("threads that spawn threads", nested),
];

fn spawn() {
    let text = String::from("moved");
    let handle = thread::spawn(move || text + " in and out");
    saw!("name", handle.thread().name());
    saw!("joined", handle.join().unwrap());
    saw!("unit", thread::spawn(|| {}).join());
    let handles: Vec<JoinHandle<usize>> = (0..10).map(|i| thread::spawn(move || i * i)).collect();
    saw!("in order", handles.into_iter().map(|h| h.join().unwrap()).collect::<Vec<_>>());
    saw!("a large result", thread::spawn(|| [7u64; 1000]).join().unwrap().iter().sum::<u64>());
}

fn builder() {
    let handle = Builder::new().name("digger".into()).spawn(|| thread::current().name().map(str::to_owned)).unwrap();
    saw!("outside", handle.thread().name());
    saw!("inside", handle.join().unwrap());
    let long = "a name of more than fifteen bytes, with ünicode";
    let handle = Builder::new().name(long.into()).spawn(|| thread::current().name().map(str::len)).unwrap();
    saw!("a long name", handle.join().unwrap());
    let empty = Builder::new().name(String::new()).spawn(|| thread::current().name().map(str::len)).unwrap();
    saw!("an empty name", empty.join().unwrap());
    let zero = std::panic::catch_unwind(|| Builder::new().name("a\0b".into()).spawn(|| {}));
    saw!("a name with a zero panics", zero.is_err());
    saw!("main", thread::current().name());
    saw!("debug", format!("{:?}", Builder::new().name("x".into())));
}

/// A kilobyte and a little a level.
#[inline(never)]
fn deep(levels: u32) -> u32 {
    let room = [levels as u8; 1024];
    black_box(&room);
    let below = if levels == 0 { 0 } else { deep(levels - 1) + 1 };
    black_box(&room);
    below
}

fn stack_sizes() {
    for (bytes, levels) in [(0, 2), (1, 2), (64 << 10, 20), (1 << 20, 600), (8 << 20, 6000)] {
        let handle = Builder::new().stack_size(bytes).spawn(move || deep(levels)).unwrap();
        saw!(format!("{bytes} bytes"), handle.join().unwrap());
    }
    for bytes in [1 << 46, 1 << 60, 1 << 62] {
        saw!(format!("{bytes} bytes"), outcome(Builder::new().stack_size(bytes).spawn(|| {}).map(drop)));
    }
    saw!("afterwards", thread::spawn(|| deep(100)).join().unwrap());
}

fn ids() {
    let main = thread::current().id();
    saw!("main's is stable", main == thread::current().id());
    let ids: Vec<ThreadId> = (0..5).map(|_| thread::spawn(|| thread::current().id()).join().unwrap()).collect();
    let all: std::collections::HashSet<_> = ids.iter().chain([&main]).collect();
    saw!("different, even one after the other", all.len());
    let handle = thread::spawn(|| thread::current().id());
    let outside = handle.thread().id();
    saw!("the same from outside", handle.join().unwrap() == outside);
    saw!("debug", format!("{main:?}"));
}

fn scope() {
    let (mut numbers, text) = (vec![1, 2, 3], String::from("borrowed"));
    let sum = thread::scope(|s| {
        let length = s.spawn(|| text.len());
        numbers.iter_mut().for_each(|n| drop(s.spawn(move || *n *= 10)));
        length.join().unwrap()
    });
    saw!("borrows", (sum, &numbers));
    let inner = thread::scope(|s| s.spawn(|| s.spawn(|| 5).join().unwrap() + 1).join().unwrap());
    saw!("nested", inner);
    let done = AtomicU32::new(0);
    thread::scope(|s| {
        (0..8).for_each(|_| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(2));
                done.fetch_add(1, Ordering::Relaxed);
            });
        });
    });
    saw!("waits for all", done.into_inner());
    let joined = thread::scope(|s| s.spawn(|| panic!("in a scope, joined")).join().is_err());
    saw!("joined panic", joined);
    let caught = std::panic::catch_unwind(|| thread::scope(|s| drop(s.spawn(|| panic!("in a scope, not joined")))));
    saw!("panic that nobody joined", caught.unwrap_err().downcast_ref::<&str>());
    let named = thread::scope(|s| {
        let builder = Builder::new().name("scoped".into());
        builder.spawn_scoped(s, || thread::current().name().map(str::to_owned)).unwrap().join().unwrap()
    });
    saw!("Builder::spawn_scoped", named);
}

fn park() {
    thread::current().unpark();
    thread::current().unpark();
    thread::park();
    let start = Instant::now();
    thread::park_timeout(Duration::from_millis(20));
    saw!("tokens do not add up", start.elapsed() >= Duration::from_millis(20));
    let flag = Arc::new(AtomicBool::new(false));
    let waiter = thread::spawn({
        let flag = flag.clone();
        move || {
            let mut turns = 0;
            while !flag.load(Ordering::Acquire) {
                thread::park();
                turns += 1;
            }
            turns >= 0
        }
    });
    thread::sleep(Duration::from_millis(5));
    flag.store(true, Ordering::Release);
    waiter.thread().unpark();
    saw!("woken", waiter.join().unwrap());
    let handle = thread::spawn(|| {});
    let other = handle.thread().clone();
    handle.join().unwrap();
    other.unpark();
    saw!("unpark of one that has ended", other.name());
    let main = thread::current();
    let turns: u32 = thread::scope(|s| {
        let peer = s.spawn(move || {
            (0..200).for_each(|_| {
                thread::park();
                main.unpark();
            });
            200
        });
        (0..200).for_each(|_| {
            peer.thread().unpark();
            thread::park();
        });
        peer.join().unwrap()
    });
    saw!("ping-pong", turns);
}

fn park_timeout() {
    for wait in [0, 1, 15].map(Duration::from_millis) {
        let start = Instant::now();
        thread::park_timeout(wait);
        saw!(format!("{wait:?} passed"), start.elapsed() >= wait);
    }
    let main = thread::current();
    let start = Instant::now();
    let handle = thread::spawn(move || main.unpark());
    thread::park_timeout(Duration::from_secs(30));
    saw!("woken long before", start.elapsed() < Duration::from_secs(20));
    handle.join().unwrap();
    thread::current().unpark();
    thread::park_timeout(Duration::MAX);
    saw!("for ever, with a token", true);
}

fn sleep() {
    for wait in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(300), Duration::from_millis(12)] {
        let start = Instant::now();
        thread::sleep(wait);
        saw!(format!("{wait:?} passed"), start.elapsed() >= wait);
    }
    let order = Mutex::new(Vec::new());
    thread::scope(|s| {
        for wait in [90u64, 10, 50] {
            let order = &order;
            s.spawn(move || {
                thread::sleep(Duration::from_millis(wait));
                order.lock().unwrap().push(wait);
            });
        }
    });
    saw!("sleepers wake in order", order.into_inner().unwrap());
}

fn yields() {
    let (started, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let turns = thread::scope(|s| {
        let other = s.spawn(|| {
            started.store(true, Ordering::Release);
            while !stop.load(Ordering::Acquire) {
                thread::yield_now();
            }
            true
        });
        while !started.load(Ordering::Acquire) {
            thread::yield_now();
        }
        stop.store(true, Ordering::Release);
        other.join().unwrap()
    });
    saw!("both get on", turns);
}

fn parallelism() {
    let count = thread::available_parallelism().map(usize::from);
    saw!("some", count.as_ref().is_ok_and(|count| *count >= 1));
    assert!(!cfg!(ampoule_image) || count.is_ok_and(|count| count == 1), "a machine has one CPU");
}

fn panicked() {
    let text = thread::spawn(|| panic!("a literal")).join().unwrap_err();
    saw!("&str", text.downcast_ref::<&str>());
    let (left, right) = (1, 2);
    let text = thread::spawn(move || panic!("formatted: {left} {right}")).join().unwrap_err();
    saw!("String", text.downcast_ref::<String>());
    let number = thread::spawn(|| std::panic::panic_any(17i32)).join().unwrap_err();
    saw!("panic_any", number.downcast_ref::<i32>());
    let named =
        Builder::new().name("unlucky".into()).spawn(|| black_box(Option::<u8>::None).expect("nothing there")).unwrap();
    saw!("expect", named.join().unwrap_err().downcast_ref::<String>());
    let index = thread::spawn(|| [1, 2, 3][black_box(7)]).join().unwrap_err();
    saw!("out of bounds", index.downcast_ref::<String>());
    saw!("this thread is well", !thread::panicking());
}

fn finished() {
    let (go, wait) = mpsc::channel::<()>();
    let handle = thread::spawn(move || wait.recv().is_err());
    saw!("not yet", handle.is_finished());
    drop(go);
    while !handle.is_finished() {
        thread::yield_now();
    }
    saw!("now", handle.join().unwrap());
    let handle = thread::spawn(|| panic!("and finished"));
    while !handle.is_finished() {
        thread::sleep(Duration::from_millis(1));
    }
    saw!("a panic, too", handle.join().is_err());
}

fn detached() {
    let (done, wait) = mpsc::channel();
    drop(thread::spawn(move || done.send("it went on").unwrap()));
    saw!("and", wait.recv());
}

fn many() {
    let (go, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let threads: Vec<_> = (0..200u32)
        .map(|i| {
            let (go, gate) = (go.clone(), gate.clone());
            Builder::new().stack_size(64 << 10).spawn(move || {
                gate.fetch_add(1, Ordering::Relaxed);
                while !go.load(Ordering::Acquire) {
                    thread::park();
                }
                i
            })
        })
        .collect::<Result<_, _>>()
        .unwrap();
    while gate.load(Ordering::Relaxed) < 200 {
        thread::yield_now();
    }
    go.store(true, Ordering::Release);
    threads.iter().for_each(|t| t.thread().unpark());
    saw!("their sum", threads.into_iter().map(|t| t.join().unwrap()).sum::<u32>());
}

fn nested() {
    fn tree(depth: u32) -> u32 {
        if depth == 0 {
            return 1;
        }
        let children: Vec<_> = (0..2).map(|_| thread::spawn(move || tree(depth - 1))).collect();
        1 + children.into_iter().map(|c| c.join().unwrap()).sum::<u32>()
    }
    saw!("a tree of threads", tree(5));
}
