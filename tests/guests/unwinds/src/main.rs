//! catch_unwind, joining threads that panicked, and a backtrace whose names std finds itself. Build with
//! `panic = "unwind"`.
#[cfg(feature = "line")]
use ampoule as _;
use std::panic;
use std::sync::Mutex;

struct Guard<'a>(&'a Mutex<u32>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

#[inline(never)]
fn deep(n: u32) -> u32 {
    assert!(n == 0, "caught {n}");
    n + 1
}

fn main() {
    // SAFETY: one thread.
    unsafe { std::env::set_var("RUST_BACKTRACE", "1") };
    let drops = Mutex::new(0);
    let caught = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let _guard = Guard(&drops);
        deep(std::hint::black_box(1))
    }));
    assert_eq!(caught.unwrap_err().downcast_ref::<String>().map(String::as_str), Some("caught 1"));
    assert_eq!(*drops.lock().unwrap(), 1);
    println!("caught");
    for _ in 0..20 {
        let error = std::thread::spawn(|| -> () { panic!("in a thread") }).join().unwrap_err();
        assert_eq!(error.downcast_ref::<&str>(), Some(&"in a thread"));
    }
    println!("joined");
}
