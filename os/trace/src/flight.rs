//! Calls that go on, and the lines of those that have ended.
//!
//! Invariant: a [`Call`] lies on the stack of the thread that makes it, from [`Call::begin`], which enters it into the list,
//! to its end, which takes it out; meanwhile it is not moved, and only who holds the lock touches its links. A thread that
//! ends by itself in the middle of a call (`pthread_exit` in a signal's handler) takes its calls out first ([`last`]).
//!
//! The library OS's functions call each other by their C names now and then. What a thread calls while a call of its own goes
//! on is such a part of it, and not told, unless it comes from a signal's handler, which is the program's again
//! ([`ampoule_trace_handler`]).

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

/// What goes on: a call, or a signal's handler in the middle of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// By its row in the table.
    Call(usize),
    Handler,
}

/// A call that goes on, or a handler.
pub(crate) struct Call {
    what: What,
    words: [usize; 7],
    /// 0: there is none yet.
    thread: u32,
    began_ns: u64,
    next: *mut Call,
    before: *mut Call,
}

impl Call {
    /// A call that begins now.
    pub(crate) fn new(row: usize, words: [usize; 7]) -> Self {
        Self::of(What::Call(row), words)
    }

    fn of(what: What, words: [usize; 7]) -> Self {
        let (thread, began_ns) = (thread::current_id(), machine::clock::monotonic_ns());
        Self { what, words, thread, began_ns, next: null_mut(), before: null_mut() }
    }

    /// Enters it into the list, if it is to be told. Then [`Call::end`] or [`Call::end_raw`] MUST be called before it is gone.
    #[inline(never)]
    pub(crate) fn begin(&mut self) -> bool {
        let mut tracer = TRACER.lock();
        let is_told = self.what == What::Handler || !tracer.is_inside(self.thread);
        if is_told {
            self.enter(&mut tracer);
        }
        is_told
    }

    fn enter(&mut self, tracer: &mut Tracer) {
        if !HOOKED.swap(true, Ordering::Relaxed) {
            machine::end::on_end(at_end);
        }
        self.next = tracer.first;
        // SAFETY: a call in the list is there, and only the lock's holder touches its links.
        if let Some(next) = unsafe { self.next.as_mut() } {
            next.before = self;
        }
        tracer.first = self;
    }

    /// What it is a call of.
    fn row(&self) -> Option<&'static abi::trace::Call> {
        match self.what {
            What::Call(row) => CALLS.get(row),
            What::Handler => None,
        }
    }

    /// It has given `result` back, as a C function does.
    #[inline(never)]
    pub(crate) fn end(&mut self, result: usize) {
        let errno = if self.thread == 0 { 0 } else { thread::slot(0).load(Ordering::Relaxed) as i32 };
        if let Some(row) = self.row() {
            self.tell(row, Outcome::of(row.gives, result, errno));
        }
    }

    /// It has given `result` back, as a system call does.
    #[inline(never)]
    pub(crate) fn end_raw(&mut self, result: i64) {
        if let Some(row) = self.row() {
            self.tell(row, Outcome::of_raw(row.gives, result));
        }
    }

    fn tell(&mut self, row: &abi::trace::Call, outcome: Outcome) {
        let took_ns = machine::clock::monotonic_ns().saturating_sub(self.began_ns);
        let mut tracer = TRACER.lock();
        self.remove(&mut tracer);
        let line = &mut tracer.line;
        self.start(line, row);
        show::arguments(line, row, &self.words, Some(&outcome));
        let _ = line.write_str(") = ");
        show::outcome(line, &outcome);
        let _ = write!(line, " <{}.{:06}>", took_ns / 1_000_000_000, took_ns % 1_000_000_000 / 1000);
        line.send();
    }

    /// `[thread] seconds `
    fn head(&self, line: &mut Line) {
        let (seconds, micros) = (self.began_ns / 1_000_000_000, self.began_ns % 1_000_000_000 / 1000);
        line.clear();
        let _ = write!(line, "[{}] {seconds}.{micros:06} ", self.thread);
    }

    /// The same, and `name(`.
    fn start(&self, line: &mut Line, row: &abi::trace::Call) {
        self.head(line);
        let _ = write!(line, "{}(", row.name);
    }

    fn tell_unfinished(&self, line: &mut Line) {
        let Some(row) = self.row() else { return };
        self.start(line, row);
        show::arguments(line, row, &self.words, None);
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

impl Tracer {
    /// Is this thread in the middle of a call already, and not in a handler that interrupts it?
    fn is_inside(&self, thread: u32) -> bool {
        let mut next = self.first;
        // SAFETY: calls in the list are there, and the lock is held.
        while let Some(call) = unsafe { next.as_ref() } {
            if call.thread == thread {
                return call.what != What::Handler;
            }
            next = call.next;
        }
        false
    }
}

/// Has `exit` been called? It ends with `_exit`, which is told no more.
static EXITS: AtomicBool = AtomicBool::new(false);

/// A call that does not come back. The thread may be gone with it, and so may be what it was about to do.
pub(crate) fn last(row: usize, words: [usize; 7]) {
    let call = Call::new(row, words);
    let Some(row) = call.row() else { return };
    let mut tracer = TRACER.lock();
    let is_part = row.symbol != "exit" && EXITS.load(Ordering::Relaxed);
    if is_part || tracer.is_inside(call.thread) {
        return;
    }
    EXITS.store(row.symbol == "exit", Ordering::Relaxed);
    call.start(&mut tracer.line, row);
    show::arguments(&mut tracer.line, row, &words, None);
    let _ = tracer.line.write_str(") = ?");
    tracer.line.send();
    if row.symbol == "pthread_exit" {
        unfinished(&mut tracer, |other| other.thread == call.thread);
    }
}

/// A signal's handler runs.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
fn ampoule_trace_handler(number: u32, handler: &mut dyn FnMut()) {
    if !crate::wanted::any() {
        return handler();
    }
    let mut call = Call::of(What::Handler, [0; 7]);
    call.begin();
    {
        let line = &mut TRACER.lock().line;
        call.head(line);
        let _ = line.write_str("--- ");
        show::signal(line, number);
        let _ = line.write_str(" ---");
        line.send();
    }
    handler();
    call.remove(&mut TRACER.lock());
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
