//! The scheduler: the lines of threads that can run (`turn`), a heap of deadlines, and the idle loop.
//!
//! # Who holds what
//! The lines and the heap hold plain pointers. A thread keeps itself alive: the reference that `spawn` made for it is given
//! up only when it is reaped, which is after its last switch. Whoever else refers to it has a reference of their own.
//!
//! # Where slices end
//! A slice upcall interrupts a thread that holds no spin lock (those mask upcalls), so the upcall may take any of them. It
//! chooses on the CPU's own stack and does nothing else; polling devices, which may allocate, is left to the system
//! thread, which it lets go first. A busy thread that wakes one from the fast line interrupts itself in this way. Ticks come
//! every [`SLICE_NS`], and every [`TICK_NS`] while a busy thread has the CPU and a deadline is nearer than that; no far side
//! makes them closer.
//!
//! # Ending
//! A thread cannot free the stack it stands on. It leaves itself in `dead`, and the next one that ends or is spawned on
//! this CPU clears it away.

use crate::block::{Block, Control};
use crate::thread::{DEAD, Inner, PARKED, READY, RUNNING};
use crate::timer::Heap;
use crate::turn::Turns;
use crate::{SLICE_NS, Spawn, SpawnError, Wake, poller};
use alloc::sync::Arc;
use core::mem::offset_of;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use machine::context::{self, Context};
use machine::{clock, cpu, gate};
use sync::SpinLock;

pub use crate::thread::Thread;

struct Sched {
    ready: Turns<Inner>,
    timers: Heap<Inner>,
    /// Threads that have not ended, the system thread left out.
    live: usize,
    /// Switches so far.
    count: u32,
}

// SAFETY: threads are shared by nature; see "Who holds what".
unsafe impl Send for Sched {}

static SCHED: SpinLock<Sched> = SpinLock::new(Sched { ready: Turns::new(), timers: Heap::new(), live: 0, count: 0 });
/// Ticks come every so many ns, or 0.
static PERIOD: AtomicU64 = AtomicU64::new(0);
static DEAD_THREAD: AtomicPtr<Inner> = AtomicPtr::new(null_mut());

/// The closest that ticks come, ns: every far side's own bound.
const TICK_NS: u64 = 1_000_000;
/// Devices are polled at ticks, but no more often than every so many ns ...
const POLL_NS: u64 = 2_000_000;
/// ... every so many switches ...
const POLL_EVERY: u32 = 64;
/// ... unless that takes more than one part in so many of the time: a look that finds nothing costs 50 ns in a process, and
/// an exit under a hypervisor.
const POLL_SHARE: u64 = 8;
/// Deadlines are looked at at least every so many switches.
const TIMERS_EVERY: u32 = 16;

impl Sched {
    /// A parked thread can go on. Does it stand in the fast line?
    #[inline]
    fn make_ready(&mut self, thread: *mut Inner, first: bool) -> bool {
        // SAFETY: a live thread's; the lock is held.
        unsafe {
            self.timers.remove((*thread).timer.get());
            (*thread).state.store(READY, Ordering::Relaxed);
        }
        self.ready.wake(thread, first, clock::monotonic_ns)
    }

    /// Lets those go on whose deadline has passed; were there any?
    #[inline(never)]
    fn fire(&mut self, now: u64) -> bool {
        let mut any = false;
        while let Some(thread) = self.timers.take_due(now) {
            // SAFETY: a live thread's.
            unsafe { (*thread).timed_out.store(true, Ordering::Relaxed) };
            self.make_ready(thread.cast_mut(), false);
            any = true;
        }
        any
    }

    /// The next to run; null if there is none.
    #[inline]
    fn choose(&mut self) -> *mut Inner {
        let next = self.ready.pop(clock::monotonic_ns);
        // SAFETY: a live thread's.
        let busy = !next.is_null() && unsafe { (*next).turn.is_busy() };
        if busy && self.timers.first().is_some() { self.choose_beside(next) } else { next }
    }

    /// `busy` would leave the CPU only at a tick, so deadlines are looked at first.
    #[cold]
    #[inline(never)]
    fn choose_beside(&mut self, busy: *mut Inner) -> *mut Inner {
        let now = clock::monotonic_ns();
        if self.fire(now) {
            self.ready.push(busy, true);
            return self.ready.pop(clock::monotonic_ns);
        }
        self.tick_by_deadline(now);
        busy
    }

    /// The running thread gives the CPU up by itself.
    #[inline]
    fn leave(&mut self, this: &Inner) {
        if !this.turn.is_plain() {
            self.ready.settle(&this.turn, clock::monotonic_ns());
        }
    }

    /// Has ticks come close if the first deadline is nearer than a slice, otherwise no closer than slices.
    #[inline(never)]
    fn tick_by_deadline(&self, now: u64) {
        let near = self.timers.first().is_some_and(|first| first < now + SLICE_NS);
        let wanted = if near { TICK_NS } else { SLICE_NS };
        let period = PERIOD.load(Ordering::Relaxed);
        if period != 0 && period != wanted {
            set_period(wanted);
        }
    }
}

#[inline(always)]
fn control() -> *mut Control {
    machine::tls::thread_pointer().cast()
}

#[inline(always)]
fn me() -> &'static Inner {
    // SAFETY: the running thread's control block and itself stay while it runs.
    unsafe { &*(*control()).thread }
}

fn context_of(thread: *const Inner) -> *mut Context {
    // SAFETY: a live thread's block is there until it is reaped, and nobody writes the field meanwhile.
    unsafe {
        match &*(*thread).block.get() {
            Some(block) => &raw mut (*block.control.as_ptr()).context,
            None => null_mut(),
        }
    }
}

/// The running thread.
#[inline]
pub fn current() -> Thread {
    let this: *const Inner = me();
    // SAFETY: it came from an Arc (`spawn`, `start`), and the running thread's own reference is still there.
    unsafe {
        Arc::increment_strong_count(this);
        Thread(Arc::from_raw(this))
    }
}

/// The running thread's number; 0 while there is none, at the machine's start.
pub fn current_id() -> u32 {
    if cpu::current_context() == 0 {
        return 0;
    }
    // SAFETY: the running thread's control block, which says whose it is as soon as that is known.
    unsafe { (*control()).thread.as_ref() }.map_or(0, |thread| thread.id)
}

/// A word of the running thread's own, for the libc door (0 at the start). There are four.
#[inline(always)]
pub fn slot(index: usize) -> &'static AtomicUsize {
    // SAFETY: the running thread's control block; the reference is used by this thread, while it runs.
    unsafe { &(&(*control()).slots)[index] }
}

/// Becomes the first thread and calls `main` with upcalls enabled. Once, at the machine's start.
pub fn start(main: fn() -> !) -> ! {
    let boot = &machine::boot().stack;
    let stack = boot.address.0 as usize..(boot.address.0 + boot.length) as usize;
    let Some(block) = Block::first(stack) else {
        gate::log(b"the machine's memory is too small to start a thread; give it more\n");
        gate::exit(abi::vcpu::STATUS_OUT_OF_MEMORY);
    };
    let control = block.control.as_ptr();
    // SAFETY: nobody uses the block yet; thread-local storage must stand before anything allocates.
    unsafe {
        block.set_up(core::ptr::null(), None);
        context::adopt(&raw mut (*control).context);
    }
    let thread = Arc::into_raw(Inner::new(b"main", |_| 0, 0, block, RUNNING));
    // SAFETY: the running thread's own control block.
    unsafe { (*control).thread = thread };
    SCHED.lock().live = 1;
    cpu::unmask();
    main()
}

/// Starts a thread.
pub fn spawn(spawn: Spawn<'_>) -> Result<Thread, SpawnError> {
    poller::system();
    let thread = create(spawn)?;
    cpu::mask();
    {
        let mut sched = SCHED.lock();
        sched.live += 1;
        sched.ready.wake(Arc::as_ptr(&thread.0).cast_mut(), false, clock::monotonic_ns);
    }
    arm();
    cpu::unmask();
    Ok(thread)
}

/// Starts the library OS's own thread, parked.
pub(crate) fn spawn_system(spawn: Spawn<'_>) -> Result<Thread, SpawnError> {
    let thread = create(spawn)?;
    thread.0.state.store(PARKED, Ordering::Relaxed);
    Ok(thread)
}

fn create(spawn: Spawn<'_>) -> Result<Thread, SpawnError> {
    reap();
    let block = Block::new(spawn.stack_size).ok_or(SpawnError::NoMemory)?;
    // Nobody comes in between: what there was room for is there.
    cpu::mask();
    let inner = if memory::has_spare() {
        Ok(Inner::new(spawn.name, spawn.entry, spawn.argument, block, READY))
    } else {
        block.release();
        Err(SpawnError::NoMemory)
    };
    cpu::unmask();
    let inner = inner?;
    // The thread's own reference, which `reap` gives up.
    let own = Arc::into_raw(inner.clone());
    // SAFETY: the block is new, and nobody runs on it.
    unsafe {
        if let Some(block) = &*inner.block.get() {
            block.set_up(own, Some((thread_main, own as usize)));
        }
    }
    Ok(Thread(inner))
}

extern "C" fn thread_main(thread: usize) -> ! {
    cpu::unmask();
    // SAFETY: `create` passes the thread itself, which lives while it runs.
    let thread = unsafe { &*(thread as *const Inner) };
    exit((thread.entry)(thread.argument))
}

/// Ends the running thread with `result`. What is on its stack is not dropped.
pub fn exit(result: usize) -> ! {
    let this = me();
    this.result.store(result, Ordering::Relaxed);
    loop {
        reap();
        cpu::mask();
        // Another may have ended in between, and only one at a time can wait to be cleared away.
        if DEAD_THREAD.load(Ordering::Relaxed).is_null() {
            break;
        }
        cpu::unmask();
    }
    this.done.store(true, Ordering::Release);
    this.joiners.wake_all();
    {
        let mut sched = SCHED.lock();
        sched.live -= 1;
        sched.leave(this);
        this.state.store(DEAD, Ordering::Relaxed);
    }
    DEAD_THREAD.store(core::ptr::from_ref(this).cast_mut(), Ordering::Relaxed);
    dispatch(this);
    gate::exit(abi::vcpu::STATUS_ABORT)
}

/// Clears the thread away that ended last.
fn reap() {
    let dead = DEAD_THREAD.swap(null_mut(), Ordering::Relaxed);
    if dead.is_null() {
        return;
    }
    // SAFETY: it has left the CPU for good (somebody else runs here), so its own reference and its block are ours.
    unsafe {
        let block = (*(*dead).block.get()).take();
        drop(Arc::from_raw(dead));
        if let Some(block) = block {
            block.release();
        }
    }
}

/// Sleeps until [`Thread::unpark`] (or returns at once if that came first), or until the deadline.
pub fn park(deadline_ns: Option<u64>) -> Wake {
    let this = me();
    cpu::mask();
    let wake = {
        let mut sched = SCHED.lock();
        if this.token.load(Ordering::Relaxed) {
            this.token.store(false, Ordering::Relaxed);
            Some(Wake::Woken)
        } else if deadline_ns.is_some_and(|d| d <= clock::monotonic_ns()) {
            Some(Wake::TimedOut)
        } else {
            sched.leave(this);
            this.state.store(PARKED, Ordering::Relaxed);
            this.timed_out.store(false, Ordering::Relaxed);
            if let Some(deadline) = deadline_ns {
                // SAFETY: the thread's own node, in no heap since it was running.
                unsafe { sched.timers.insert(this.timer.get(), this, deadline) };
            }
            None
        }
    };
    let wake = wake.unwrap_or_else(|| {
        dispatch(this);
        if this.timed_out.load(Ordering::Relaxed) { Wake::TimedOut } else { Wake::Woken }
    });
    cpu::unmask();
    wake
}

pub(crate) fn unpark(thread: &Inner, first: bool) {
    let mut sched = SCHED.lock();
    match thread.state.load(Ordering::Relaxed) {
        PARKED => {
            let fast = sched.make_ready(core::ptr::from_ref(thread).cast_mut(), first);
            if fast && !first && me().turn.is_busy() {
                cpu::interrupt();
            }
        }
        _ => thread.token.store(true, Ordering::Relaxed),
    }
}

/// Lets every other thread that can run have its turn.
pub fn yield_now() {
    let this = me();
    cpu::mask();
    {
        let mut sched = SCHED.lock();
        sched.leave(this);
        this.state.store(READY, Ordering::Relaxed);
        sched.ready.push(core::ptr::from_ref(this).cast_mut(), false);
    }
    dispatch(this);
    cpu::unmask();
}

/// Lets the thread that is first in the queue go first; this one is the next after it.
pub(crate) fn stand_back() {
    let this = me();
    cpu::mask();
    {
        let mut sched = SCHED.lock();
        this.state.store(READY, Ordering::Relaxed);
        sched.leave(this);
        let first = sched.ready.pop(clock::monotonic_ns);
        sched.ready.push(core::ptr::from_ref(this).cast_mut(), true);
        if !first.is_null() {
            sched.ready.push(first, true);
        }
    }
    dispatch(this);
    cpu::unmask();
}

/// Gives the CPU to the next thread, and returns when it comes back to `this`, whose state already says why it left.
/// Upcalls are masked.
fn dispatch(this: &Inner) {
    loop {
        let (next, count) = {
            let mut sched = SCHED.lock();
            sched.count = sched.count.wrapping_add(1);
            let look = sched.ready.is_empty() || sched.count.is_multiple_of(TIMERS_EVERY);
            if look && sched.timers.first().is_some() {
                sched.fire(clock::monotonic_ns());
            }
            let next = sched.choose();
            if !next.is_null() {
                // SAFETY: a live thread's.
                unsafe { (*next).state.store(RUNNING, Ordering::Relaxed) };
            }
            (next, sched.count)
        };
        if next.is_null() {
            idle();
            continue;
        }
        if !core::ptr::eq(next, this) {
            switch(this, next);
        }
        if count.is_multiple_of(POLL_EVERY) && poller::any() {
            look_at_devices();
        }
        if PERIOD.load(Ordering::Relaxed) == 0 {
            arm();
        }
        return;
    }
}

/// Polls, unless the last look found nothing and was too dear to be repeated so soon.
fn look_at_devices() {
    static NOT_BEFORE: AtomicU64 = AtomicU64::new(0);
    let start = clock::monotonic_ns();
    if start < NOT_BEFORE.load(Ordering::Relaxed) {
        return;
    }
    let next = if poller::poll() {
        0
    } else {
        let end = clock::monotonic_ns();
        end + (end - start) * (POLL_SHARE - 1)
    };
    NOT_BEFORE.store(next, Ordering::Relaxed);
}

fn switch(from: &Inner, to: *mut Inner) {
    let (old, new) = (context_of(from), context_of(to));
    // SAFETY: upcalls are masked; both are live threads' contexts; `to` was in the run queue, so at most another CPU is
    // still leaving it, which ends soon.
    unsafe {
        while (*new).on_cpu() {
            core::hint::spin_loop();
        }
        context::switch(old, new);
    }
}

/// Nothing can run: looks for something, or sleeps until there may be.
#[cold]
fn idle() {
    // Before the pollers look: an event that comes later stays, and ends the wait below at once.
    cpu::take_events(abi::vcpu::DEVICE_EVENTS);
    if poller::ask() {
        return;
    }
    poller::tend(false);
    if poller::arm() {
        return;
    }
    let until = {
        let sched = SCHED.lock();
        if !sched.ready.is_empty() {
            return;
        }
        sched.timers.first()
    };
    let until = [until, poller::deadline()].into_iter().flatten().min();
    gate::wait(until.map_or(abi::gate::WAIT_FOREVER, |u| u.max(1)));
    if cpu::take_pending() && PERIOD.load(Ordering::Relaxed) != 0 {
        set_period(0);
    }
}

fn set_period(ns: u64) {
    PERIOD.store(ns, Ordering::Relaxed);
    gate::slice(ns);
}

/// Has ticks come from now on, if there is anybody to share the CPU with.
fn arm() {
    if SCHED.lock().live > 1 && PERIOD.load(Ordering::Relaxed) == 0 {
        set_period(SLICE_NS);
    }
}

/// The last tick, in slices since the machine's start.
static TICKS: AtomicU32 = AtomicU32::new(0);

/// How many slices have passed up to the last tick: never too many.
#[inline]
pub(crate) fn ticks() -> u32 {
    TICKS.load(Ordering::Relaxed)
}

/// Chooses who runs after a tick; the same thread if there is nobody else. Upcalls are masked.
fn ticked(this: *mut Inner) -> *mut Inner {
    static POLLED: AtomicU64 = AtomicU64::new(0);
    let now = clock::monotonic_ns();
    TICKS.store((now / SLICE_NS) as u32, Ordering::Relaxed);
    let poll = poller::any() && now.saturating_sub(POLLED.load(Ordering::Relaxed)) >= POLL_NS;
    if poll {
        POLLED.store(now, Ordering::Relaxed);
    }
    poller::tend(poll);
    let mut sched = SCHED.lock();
    let fired = sched.fire(now);
    let next = if sched.ready.tick(this, now) { this } else { sched.ready.pop(clock::monotonic_ns) };
    // Whoever woke may soon sleep again.
    if !fired {
        sched.tick_by_deadline(now);
    }
    if next != this {
        // SAFETY: live threads'.
        unsafe {
            (*this).state.store(READY, Ordering::Relaxed);
            (*next).state.store(RUNNING, Ordering::Relaxed);
        }
    }
    next
}

/// A slice that ended while upcalls were masked: the thread itself finds out, in [`cpu::unmask`].
#[unsafe(no_mangle)]
fn ampoule_thread_slice() {
    cpu::mask();
    let this = core::ptr::from_ref(me()).cast_mut();
    let next = ticked(this);
    if next != this {
        // SAFETY: the running thread.
        switch(unsafe { &*this }, next);
    }
    cpu::unmask();
}

/// The end of a slice, on the CPU's own stack: what was interrupted is saved.
#[unsafe(no_mangle)]
fn ampoule_thread_slice_upcall(running: *mut Context) -> *mut Context {
    let this = core::ptr::from_ref(me()).cast_mut();
    let next = ticked(this);
    if next == this {
        return running;
    }
    let context = context_of(next);
    // SAFETY: a live thread's context.
    while unsafe { (*context).on_cpu() } {
        core::hint::spin_loop();
    }
    context
}

/// For a fault's report.
#[unsafe(no_mangle)]
fn ampoule_thread_describe() -> machine::fault::Description {
    let context = machine::cpu::current_context();
    let mut description = machine::fault::Description { name: *b"(none yet)\0\0\0\0\0\0", stack: 0..0, guard: 0..0 };
    if context == 0 {
        return description;
    }
    let control = (context - offset_of!(Control, context)) as *const Control;
    // SAFETY: the running context is a thread's, and lies in its control block; the thread lives while it runs.
    unsafe {
        let thread = (*control).thread;
        if !thread.is_null() {
            description.name = Thread::peek_name(&*thread);
            if let Some(block) = &*(*thread).block.get() {
                description.stack = block.stack.clone();
                description.guard = block.guard();
            }
        }
    }
    description
}
