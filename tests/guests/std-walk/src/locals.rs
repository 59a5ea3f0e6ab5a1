//! `thread_local!`, and the destructors of its values.

use crate::{Case, saw};
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Mutex;
use std::thread;

pub(crate) const CASES: &[Case] = &[
    ("thread_local! values", values),
    ("thread_local! destructors, in order", order),
    ("thread_local! destructors that use others", reentrant),
    ("thread_local! destructors that spawn", spawning),
    ("LocalKey::try_with after destruction", gone),
];

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn note(text: impl Into<String>) {
    LOG.lock().unwrap().push(text.into());
}

fn take_log() -> Vec<String> {
    std::mem::take(&mut *LOG.lock().unwrap())
}

struct Noisy(&'static str);

impl Drop for Noisy {
    fn drop(&mut self) {
        note(self.0);
    }
}

/// Made when it is first used.
fn third() -> Noisy {
    Noisy("third")
}

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(1) };
    static LIST: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    static LAZY: OnceCell<String> = const { OnceCell::new() };
    static COMPUTED: String = format!("made by {}", thread::current().name().unwrap_or("nobody"));
    static FIRST: Noisy = const { Noisy("first") };
    static SECOND: Noisy = const { Noisy("second") };
    static THIRD: Noisy = third();
}

fn values() {
    NUMBER.set(5);
    saw!("get", NUMBER.get());
    saw!("replace", (NUMBER.replace(6), NUMBER.take(), NUMBER.get()));
    LIST.with_borrow_mut(|list| list.extend([1, 2, 3]));
    saw!("with_borrow", LIST.with_borrow(|list| list.len()));
    saw!("another thread's", thread::spawn(|| (NUMBER.get(), LIST.take())).join().unwrap());
    saw!("RefCell replace", (LIST.replace(vec![9]), LIST.take()));
    saw!("lazily", LAZY.with(|lazy| lazy.get_or_init(|| "once".into()).clone()));
    let named = thread::Builder::new().name("namer".into()).spawn(|| COMPUTED.with(String::clone)).unwrap();
    saw!("computed", (COMPUTED.with(String::clone), named.join().unwrap()));
    let sum: u32 =
        (0..20).map(|i| thread::spawn(move || NUMBER.replace(i) + NUMBER.get())).map(|t| t.join().unwrap()).sum();
    saw!("twenty threads", sum);
}

fn order() {
    let touch = |keys: [&'static thread::LocalKey<Noisy>; 3]| {
        thread::spawn(move || keys.into_iter().for_each(|key| key.with(|_| ()))).join().unwrap();
        take_log()
    };
    saw!("made 1 2 3", touch([&FIRST, &SECOND, &THIRD]));
    saw!("made 3 2 1", touch([&THIRD, &SECOND, &FIRST]));
    saw!("made 2 1 3", touch([&SECOND, &FIRST, &THIRD]));
    thread::spawn(|| note("nothing touched")).join().unwrap();
    saw!("none", take_log());
    let panicking = thread::spawn(|| {
        FIRST.with(|_| ());
        panic!("with values alive");
    });
    saw!("after a panic", (panicking.join().is_err(), take_log()));
}

struct Reaches;

impl Drop for Reaches {
    fn drop(&mut self) {
        note(format!("self is {:?}", REACHES.try_with(|_| "there").map_err(|e| e.to_string())));
        note(format!("another is {:?}", LATE.try_with(|_| "there").is_ok()));
        NUMBER.set(NUMBER.get() + 1);
        note(format!("a cell without destructor is {}", NUMBER.get()));
    }
}

struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        note("the late one is dropped, too");
    }
}

thread_local! {
    static REACHES: Reaches = const { Reaches };
    static LATE: Late = const { Late };
}

fn reentrant() {
    thread::spawn(|| REACHES.with(|_| ())).join().unwrap();
    saw!("log", take_log());
}

struct Spawns;

impl Drop for Spawns {
    fn drop(&mut self) {
        note(format!("a thread says {}", thread::spawn(|| 5).join().unwrap()));
        note(format!("named {:?}", thread::current().name()));
    }
}

thread_local!(static SPAWNS: Spawns = const { Spawns });

fn spawning() {
    thread::Builder::new().name("parent".into()).spawn(|| SPAWNS.with(|_| ())).unwrap().join().unwrap();
    saw!("log", take_log());
}

struct Asks;

impl Drop for Asks {
    fn drop(&mut self) {
        let error = ASKS.try_with(|_| ()).unwrap_err();
        note(format!("{error:?}"));
        note(error.to_string());
    }
}

thread_local!(static ASKS: Asks = const { Asks });

fn gone() {
    thread::spawn(|| ASKS.with(|_| ())).join().unwrap();
    saw!("log", take_log());
}

struct Prints;

impl Drop for Prints {
    fn drop(&mut self) {
        println!("main's thread-local value is dropped at the end");
    }
}

thread_local!(static PRINTS: Prints = const { Prints });

/// The first thread's values are dropped when the program ends.
pub(crate) fn leave_one_for_the_end() {
    PRINTS.with(|_| ());
}
