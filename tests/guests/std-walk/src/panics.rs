//! `std::panic` and `std::backtrace`.

use crate::{Case, saw};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::hint::black_box;
use std::panic::{self, AssertUnwindSafe, Location, catch_unwind, panic_any, resume_unwind};
use std::sync::Mutex;
use std::thread;

pub(crate) const CASES: &[Case] = &[
    ("panic payloads", payloads),
    ("panics of the language", language),
    ("panic hooks", hooks),
    ("panic::Location", locations),
    ("resume_unwind", resume),
    ("destructors while unwinding", destructors),
    ("panics in destructors", in_destructors),
    ("nested catches", nested),
    ("panics in threads", in_threads),
    ("Backtrace", backtrace),
];

/// Panics print on standard output, without what differs.
pub(crate) fn print_to_output() {
    panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or("something that is no text");
        let place = info.location().map(|l| format!("{}:{}", l.file().rsplit('/').next().unwrap_or(""), l.column()));
        println!("    panic: {text} ({})", place.unwrap_or_default().split(':').next().unwrap_or(""));
    }));
}

fn text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|t| (*t).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".into())
}

fn caught<R>(f: impl FnOnce() -> R) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(f)).map(drop).map_err(|payload| text(&*payload))
}

fn payloads() {
    saw!("no panic", catch_unwind(|| 5).ok());
    saw!("literal", caught(|| panic!("literal")));
    saw!("formatted", caught(|| panic!("{}-{:03}", "formatted", 7)));
    let boxed = catch_unwind(|| panic_any(vec![1, 2, 3])).unwrap_err();
    saw!("a vector", boxed.downcast::<Vec<i32>>().ok());
    let zero = catch_unwind(|| panic_any(())).unwrap_err();
    saw!("nothing", zero.is::<()>());
}

#[allow(unconditional_panic, arithmetic_overflow)]
fn language() {
    let (zero, list, none) = (black_box(0), black_box(vec![1]), black_box(Option::<u8>::None));
    saw!("division", caught(|| 1 / zero));
    saw!("remainder", caught(|| 1 % zero));
    saw!("index", caught(|| list[5]));
    saw!("slice", caught(|| list[black_box(3)..1].len()));
    saw!("unwrap", caught(|| none.unwrap()));
    saw!("expect", caught(|| black_box(Err::<(), _>("reason")).expect("wanted")));
    saw!("assert_eq", caught(|| assert_eq!(1 + zero, 2, "with {}", "words")));
    saw!("unreachable", caught(|| unreachable!("never {}", 1)));
    saw!("todo", caught(|| todo!()));
    saw!(
        "RefCell",
        caught(|| {
            let cell = std::cell::RefCell::new(1);
            let _guard = cell.borrow_mut();
            *cell.borrow()
        })
    );
    saw!("text", caught(|| "häuser"[2..].len()));
    saw!("i32::MIN / -1", caught(|| black_box(i32::MIN) / black_box(-1)));
    saw!("capacity", caught(|| Vec::<u64>::with_capacity(black_box(usize::MAX))));
}

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn hooks() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(|info| {
        HEARD.lock().unwrap().push(format!("{:?}", info.payload_as_str()));
    }));
    saw!("caught", caught(|| panic!("heard by a hook")));
    panic::set_hook(Box::new(move |info| {
        HEARD.lock().unwrap().push("and passed on".into());
        before(info);
    }));
    saw!("caught", caught(|| panic!("heard by two")));
    print_to_output();
    saw!("heard", HEARD.lock().unwrap());
    saw!(
        "set_hook while panicking",
        caught(|| {
            struct Sets;
            impl Drop for Sets {
                fn drop(&mut self) {
                    saw!("panicking", thread::panicking());
                }
            }
            let _sets = Sets;
            panic!("outer");
        })
    );
}

#[track_caller]
fn tracked() -> &'static Location<'static> {
    Location::caller()
}

fn locations() {
    let here = tracked();
    saw!("line and column", (here.line(), here.column()));
    saw!("file", here.file().rsplit('/').next());
    saw!("display", here.to_string() == format!("{}:{}:{}", here.file(), here.line(), here.column()));
}

fn resume() {
    let payload = catch_unwind(|| resume_unwind(Box::new(41))).unwrap_err();
    saw!("without a hook", payload.downcast_ref::<i32>());
    let again = catch_unwind(AssertUnwindSafe(|| {
        let first = catch_unwind(|| panic!("thrown twice")).unwrap_err();
        resume_unwind(first);
    }));
    saw!("passed on", again.map(|never: ()| never).map_err(|p| text(&*p)));
}

fn destructors() {
    static ORDER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    struct Notes(u8);
    impl Drop for Notes {
        fn drop(&mut self) {
            ORDER.lock().unwrap().push(self.0);
        }
    }
    fn inner() {
        let _three = Notes(3);
        let _list = [Notes(4), Notes(5)];
        panic!("through four destructors");
    }
    let result = caught(|| {
        let _one = Notes(1);
        let two = Notes(2);
        inner();
        drop(two);
    });
    saw!("order", (result, std::mem::take(&mut *ORDER.lock().unwrap())));
}

fn in_destructors() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    saw!("alone", caught(|| drop(Panics)));
    struct Catches;
    impl Drop for Catches {
        fn drop(&mut self) {
            saw!("inside", caught(|| panic!("second, caught")));
        }
    }
    let result = caught(|| {
        let _catches = Catches;
        panic!("first");
    });
    saw!("a second one that is caught", result);
}

fn nested() {
    let result = caught(|| {
        let inner = caught(|| panic!("inner"));
        panic!("outer after {inner:?}");
    });
    saw!("nested", result);
    fn deep(levels: u32) {
        if levels == 0 {
            panic!("at the bottom");
        }
        let _owned = black_box(vec![levels; 10]);
        deep(levels - 1);
        black_box(levels);
    }
    saw!("through 300 frames", caught(|| deep(300)));
    let count = (0..200)
        .filter(|n| {
            caught(|| {
                if n % 2 == 0 {
                    resume_unwind(Box::new(()))
                }
            })
            .is_err()
        })
        .count();
    saw!("many", count);
}

fn in_threads() {
    let results: Vec<bool> = (0..6)
        .map(|n| thread::spawn(move || if n % 2 == 0 { resume_unwind(Box::new(n)) } else { n }))
        .map(|t| t.join().is_ok())
        .collect();
    saw!("every other", results);
    let all = thread::scope(|s| {
        let threads: Vec<_> = (0..8).map(|_| s.spawn(|| caught(|| resume_unwind(Box::new("same"))).is_err())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).filter(|e| *e).count()
    });
    saw!("at once", all);
}

#[inline(never)]
fn named_in_the_backtrace() -> Backtrace {
    black_box(Backtrace::force_capture())
}

fn backtrace() {
    saw!("capture without RUST_BACKTRACE", Backtrace::capture().status() == BacktraceStatus::Disabled);
    let trace = named_in_the_backtrace();
    saw!("force_capture", trace.status() == BacktraceStatus::Captured);
    saw!("has names", trace.to_string().contains("named_in_the_backtrace"));
    saw!("of main, too", trace.to_string().contains("guest_std_walk::main"));
    saw!("disabled", Backtrace::disabled().to_string());
    let elsewhere = thread::spawn(|| named_in_the_backtrace().to_string()).join().unwrap();
    saw!("in a thread", elsewhere.contains("named_in_the_backtrace"));
}
