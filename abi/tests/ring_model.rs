//! The virtqueue under every interleaving that the memory model allows (loom).
//!
//! `RUSTFLAGS="--cfg ring_model" cargo test -p ampoule-abi --release --test ring_model`
#![cfg(ring_model)]

use ampoule_abi::address::BusAddr;
use ampoule_abi::ring::{Areas, Buffer, Device, Driver};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A doorbell that loses nothing by itself: what is lost then is the ring's fault.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    change: Condvar,
}

impl Bell {
    fn new() -> Self {
        Self { rung: Mutex::new(false), change: Condvar::new() }
    }

    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.change.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.change.wait(rung).unwrap();
        }
        *rung = false;
    }
}

fn buffer(stamp: u64) -> Buffer {
    Buffer::writable(BusAddr(stamp), 64)
}

/// `count` buffers, one after the other through a queue of `size`: the device sleeps until it is kicked. loom fails the
/// test if anybody sleeps for ever, or if a buffer's descriptor is seen before it is written.
fn device_sleeps(size: u16, count: u64, event_idx: bool) {
    let areas = Areas::model(size);
    let bell = Arc::new(Bell::new());
    let done = Arc::new(AtomicBool::new(false));
    let (theirs, finished) = (bell.clone(), done.clone());
    let server = thread::spawn(move || {
        let mut device = Device::new(areas, event_idx);
        let mut seen = 0;
        while seen < count {
            match device.take().expect("a friendly driver") {
                Some(chain) => {
                    seen += 1;
                    assert_eq!(chain.writable(), [buffer(seen)]);
                    device.complete(chain.head(), seen as u32);
                    device.publish();
                }
                None => {
                    if !device.enable_kicks().expect("a friendly driver") {
                        theirs.wait();
                    }
                }
            }
        }
        finished.store(true, Ordering::Release);
    });
    let mut driver = Driver::new(areas, event_idx);
    for stamp in 1..=count {
        driver.add(&[buffer(stamp)]).expect("room");
        driver.publish();
        if driver.kick_needed() {
            bell.ring();
        }
    }
    server.join().unwrap();
    assert!(done.load(Ordering::Acquire));
    for stamp in 1..=count {
        let used = driver.take_used().expect("a friendly device").expect("all are done");
        assert_eq!(used.length, stamp as u32);
    }
}

/// The other direction: the driver sleeps until the device notifies it.
fn driver_sleeps(size: u16, count: u64, event_idx: bool) {
    let areas = Areas::model(size);
    let bell = Arc::new(Bell::new());
    let mut driver = Driver::new(areas, event_idx);
    for stamp in 1..=count {
        driver.add(&[buffer(stamp)]).expect("room");
    }
    driver.publish();
    let theirs = bell.clone();
    let server = thread::spawn(move || {
        let mut device = Device::new(areas, event_idx);
        for stamp in 1..=count {
            let chain = device.take().expect("a friendly driver").expect("published before");
            device.complete(chain.head(), stamp as u32);
            device.publish();
            if device.notify_needed() {
                theirs.ring();
            }
        }
    });
    let mut seen = 0;
    driver.disable_events();
    while seen < count {
        match driver.take_used().expect("a friendly device") {
            Some(used) => {
                seen += 1;
                assert_eq!(used.length, seen as u32);
            }
            None => {
                if !driver.enable_events() {
                    bell.wait();
                }
                driver.disable_events();
            }
        }
    }
    server.join().unwrap();
    assert_eq!(driver.free(), size);
}

/// Every interleaving with at most this many pre-emptions: more finds nothing that two do not, and takes hours.
const PREEMPTIONS: usize = 2;

fn check(body: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(body);
}

#[test]
fn no_kick_is_lost() {
    check(|| device_sleeps(2, 2, true));
}

#[test]
fn no_kick_is_lost_by_flags() {
    check(|| device_sleeps(2, 2, false));
}

#[test]
fn no_notification_is_lost() {
    check(|| driver_sleeps(2, 2, true));
}

#[test]
fn no_notification_is_lost_by_flags() {
    check(|| driver_sleeps(2, 2, false));
}
