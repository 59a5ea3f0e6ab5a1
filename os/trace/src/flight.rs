//! Calls that go on, and the lines of those that have ended.
//!
//! Invariant: a [`Call`] lies on the stack of the thread that makes it, from [`Call::begin`], which enters it into the list,
//! to its end, which takes it out; meanwhile it is not moved, and only who holds the lock touches its links. A thread that
//! ends by itself in the middle of a call (`pthread_exit` in a signal's handler) takes its calls out first ([`last`]).

use crate::line::Line;
use crate::show::{self, Outcome};
use abi::trace::CALLS;
use core::fmt::Write as _;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, Ordering};
use sync::SpinLock;

/// What the lock keeps.
struct Tracer {
    /// The latest call that goes on.
    first: *mut Call,
    line: Line,
}

// SAFETY: the calls that it leads to are touched under its lock alone.
unsafe impl Send for Tracer {}

static TRACER: SpinLock<Tracer> = SpinLock::new(Tracer { first: null_mut(), line: Line::EMPTY });
static HOOKED: AtomicBool = AtomicBool::new(false);

/// A call that goes on.
pub(crate) struct Call {
    row: usize,
    words: [usize; 7],
    thread: u32,
    began_ns: u64,
    next: *mut Call,
    before: *mut Call,
}

impl Call {
    /// A call that begins now.
    pub(crate) fn new(row: usize, words: [usize; 7]) -> Self {
        let (thread, began_ns) = (thread::current().id(), machine::clock::monotonic_ns());
        Self { row, words, thread, began_ns, next: null_mut(), before: null_mut() }
    }

    /// Enters it into the list. Whoever calls this MUST call [`Call::end`] or [`Call::end_raw`] before it is gone.
    pub(crate) fn begin(&mut self) -> &mut Self {
        if !HOOKED.swap(true, Ordering::Relaxed) {
            machine::end::on_end(at_end);
        }
        let mut tracer = TRACER.lock();
        self.next = tracer.first;
        // SAFETY: a call in the list is there, and only the lock's holder touches its links.
        if let Some(next) = unsafe { self.next.as_mut() } {
            next.before = self;
        }
        tracer.first = self;
        self
    }

    /// It has given `result` back, as a C function does.
    #[inline(never)]
    pub(crate) fn end(&mut self, result: usize) {
        let errno = thread::slot(0).load(Ordering::Relaxed) as i32;
        self.tell(Outcome::of(CALLS[self.row].gives, result, errno));
    }

    /// It has given `result` back, as a system call does.
    #[inline(never)]
    pub(crate) fn end_raw(&mut self, result: i64) {
        self.tell(Outcome::of_raw(CALLS[self.row].gives, result));
    }

    fn tell(&mut self, outcome: Outcome) {
        let took_ns = machine::clock::monotonic_ns().saturating_sub(self.began_ns);
        let mut tracer = TRACER.lock();
        self.remove(&mut tracer);
        let line = &mut tracer.line;
        self.start(line);
        show::arguments(line, &CALLS[self.row], &self.words, Some(&outcome));
        let _ = line.write_str(") = ");
        show::outcome(line, &outcome);
        let _ = write!(line, " <{}.{:06}>", took_ns / 1_000_000_000, took_ns % 1_000_000_000 / 1000);
        line.send();
    }

    /// `[thread] seconds name(`
    fn start(&self, line: &mut Line) {
        let (seconds, micros) = (self.began_ns / 1_000_000_000, self.began_ns % 1_000_000_000 / 1000);
        line.clear();
        let _ = write!(line, "[{}] {seconds}.{micros:06} {}(", self.thread, CALLS[self.row].name);
    }

    fn tell_unfinished(&self, line: &mut Line) {
        self.start(line);
        show::arguments(line, &CALLS[self.row], &self.words, None);
        let _ = line.write_str(" <unfinished ...>");
        line.send();
    }

    fn remove(&mut self, tracer: &mut Tracer) {
        // SAFETY: calls in the list are there, and the lock is held.
        unsafe {
            match self.before.as_mut() {
                Some(before) => before.next = self.next,
                None => tracer.first = self.next,
            }
            if let Some(next) = self.next.as_mut() {
                next.before = self.before;
            }
        }
    }
}

/// A call that does not come back. The thread may be gone with it, and so may be what it was about to do.
pub(crate) fn last(row: usize, words: [usize; 7]) {
    let call = Call::new(row, words);
    let mut tracer = TRACER.lock();
    call.start(&mut tracer.line);
    show::arguments(&mut tracer.line, &CALLS[row], &words, None);
    let _ = tracer.line.write_str(") = ?");
    tracer.line.send();
    if CALLS[row].symbol == "pthread_exit" {
        unfinished(&mut tracer, |other| other.thread == call.thread);
    }
}

/// Tells of the calls that go on and that nobody will see the end of, latest first, and takes them out.
fn unfinished(tracer: &mut Tracer, which: impl Fn(&Call) -> bool) {
    let mut next = tracer.first;
    // SAFETY: calls in the list are there, and the lock is held.
    while let Some(call) = unsafe { next.as_mut() } {
        next = call.next;
        if which(call) {
            call.remove(tracer);
            call.tell_unfinished(&mut tracer.line);
        }
    }
}

/// The machine ends.
fn at_end() {
    // The hooks also run for a flush, after which everything goes on.
    if machine::end::ending() {
        unfinished(&mut TRACER.lock(), |_| true);
    }
}
