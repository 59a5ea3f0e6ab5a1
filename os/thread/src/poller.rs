//! Pollers: how services look at their devices, and how stop events reach the program.

use crate::Thread;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use sync::SpinLock;

/// Somebody who serves a device. The scheduler asks when nothing else can run, and every now and then under load.
///
/// Every method is called with upcalls masked, and MUST NOT park.
pub trait Poller: Sync {
    /// Looks at the device and wakes whom it concerns; true if there was something.
    fn poll(&self) -> bool;
    /// Asks for an event when there is something; true if there already is, and then nobody may sleep.
    fn arm(&self) -> bool;
    /// When it wants to be asked again by itself (ns).
    fn deadline(&self) -> Option<u64>;
}

const POLLERS_MAX: usize = 8;

struct Pollers {
    list: [Option<&'static dyn Poller>; POLLERS_MAX],
    count: usize,
}

static POLLERS: SpinLock<Pollers> = SpinLock::new(Pollers { list: [None; POLLERS_MAX], count: 0 });
static POLLING: AtomicBool = AtomicBool::new(false);
static ON_STOP: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static SYSTEM: SpinLock<Option<Thread>> = SpinLock::new(None);

/// Adds a poller, for good. There is room for eight; more than that is a mistake of the image's, and panics.
pub fn register_poller(poller: &'static dyn Poller) {
    let mut pollers = POLLERS.lock();
    let index = pollers.count;
    pollers.list[index] = Some(poller);
    pollers.count = index + 1;
}

/// Has `f` called, on a thread of the library OS's own, when the operator wants the machine to stop
/// ([`abi::vcpu::EVENT_STOP`], [`abi::vcpu::EVENT_INTERRUPT`]). Without it the machine ends by itself.
pub fn on_stop(f: fn(events: u64)) {
    ON_STOP.store(f as *mut (), Ordering::Release);
    system();
}

/// Serves the rings and asks every poller, without sleeping; true if there was something.
pub fn poll() -> bool {
    machine::cpu::mask();
    if !POLLING.load(Ordering::Relaxed) {
        machine::gate::wait(abi::gate::WAIT_POLL);
    }
    let progress = ask();
    machine::cpu::unmask();
    progress
}

fn list() -> ([Option<&'static dyn Poller>; POLLERS_MAX], usize) {
    let pollers = POLLERS.lock();
    (pollers.list, pollers.count)
}

/// Are there any?
pub(crate) fn any() -> bool {
    POLLERS.lock().count != 0
}

/// Asks every poller. Upcalls are masked.
pub(crate) fn ask() -> bool {
    if POLLING.swap(true, Ordering::Acquire) {
        return false;
    }
    let (pollers, count) = list();
    let mut progress = false;
    for poller in pollers[..count].iter().flatten() {
        progress |= poller.poll();
    }
    POLLING.store(false, Ordering::Release);
    progress
}

/// Arms every poller; true if one of them has something already.
pub(crate) fn arm() -> bool {
    let (pollers, count) = list();
    let mut ready = false;
    for poller in pollers[..count].iter().flatten() {
        ready |= poller.arm();
    }
    ready
}

/// When the first of them wants to be asked again.
pub(crate) fn deadline() -> Option<u64> {
    let (pollers, count) = list();
    pollers[..count].iter().flatten().filter_map(|p| p.deadline()).min()
}

/// Deals with stop events that are pending: hands them to the system thread, or ends the machine. With `tend` the
/// system thread also polls.
#[cfg_attr(not(ampoule_image), allow(dead_code))]
pub(crate) fn tend(poll: bool) {
    use abi::vcpu::{EVENT_INTERRUPT, EVENT_STOP, STATUS_INTERRUPTED, STATUS_TERMINATED};
    let events = machine::cpu::events();
    let stop = events & (EVENT_STOP | EVENT_INTERRUPT) != 0;
    if !stop && !poll {
        return;
    }
    if stop && ON_STOP.load(Ordering::Acquire).is_null() {
        machine::end::finish(if events & EVENT_STOP != 0 { STATUS_TERMINATED } else { STATUS_INTERRUPTED });
    }
    if let Some(thread) = &*SYSTEM.lock() {
        thread.unpark_as(true);
    }
}

/// Starts the system thread, unless it runs already.
pub(crate) fn system() {
    if SYSTEM.lock().is_some() {
        return;
    }
    let spawn = crate::Spawn { stack_size: 64 << 10, name: b"ampoule", entry: system_main, argument: 0 };
    if let Ok(thread) = crate::sched::spawn_system(spawn) {
        *SYSTEM.lock() = Some(thread);
    }
}

fn system_main(_: usize) -> usize {
    use abi::vcpu::{EVENT_INTERRUPT, EVENT_STOP};
    loop {
        let events = machine::cpu::take_events(EVENT_STOP | EVENT_INTERRUPT);
        let handler = ON_STOP.load(Ordering::Acquire);
        if events != 0 && !handler.is_null() {
            // SAFETY: only `on_stop` stores here, and it stores a `fn(u64)`.
            let handler = unsafe { core::mem::transmute::<*mut (), fn(u64)>(handler) };
            handler(events);
        }
        poll();
        crate::park(None);
    }
}
