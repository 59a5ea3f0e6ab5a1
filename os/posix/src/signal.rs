//! Signals, as far as a machine has them: those it sends itself, and SIGTERM and SIGINT from the operator.
//!
//! There is one process and nobody else in it, so there is one table of actions and *one mask for the machine*: a signal
//! that any thread blocks stays pending. (A mask a thread would need to know where handlers may run; ours run on the
//! thread that raised the signal, or on the library OS's own thread for the operator's, which POSIX allows for signals
//! sent to a process.) Faults are not signals here: a handler for SIGSEGV is remembered, and no fault calls it.
//!
//! This is the bookkeeping; the C door calls the handlers.

use sync::SpinLock;
use thread::WaitQueue;

use crate::errno::{Errno, Result};

/// The largest signal number.
pub const SIGNAL_MAX: u32 = 64;
/// SIGINT
pub const INTERRUPT: u32 = 2;
/// SIGABRT
pub const ABORT: u32 = 6;
/// SIGKILL
pub const KILL: u32 = 9;
/// SIGTERM
pub const TERMINATE: u32 = 15;
const STOP: u32 = 19;
const BUS: u32 = 7;
const SEGMENT: u32 = 11;

/// `SA_RESETHAND`: back to the default once it ran.
pub const RESET: u64 = 0x8000_0000;

/// What a signal does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// 0 default, 1 ignore, else the handler's address.
    pub handler: usize,
    /// `SA_*` bits.
    pub flags: u64,
    /// Signals that are blocked while the handler runs.
    pub mask: u64,
}

impl Action {
    /// `SIG_DFL`
    pub const DEFAULT: usize = 0;
    /// `SIG_IGN`
    pub const IGNORE: usize = 1;
    /// The action of SIGSEGV and SIGBUS to begin with: the machine's own report. It looks like somebody's handler, so
    /// that std does not set one up, with a stack for every thread, that would never be called.
    pub const REPORT: usize = 2;
}

/// What to do about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing.
    Nothing,
    /// End the machine with this status (128 + number, as a shell says).
    End(u64),
    /// Call this handler for this signal.
    Call(u32, Action),
}

struct State {
    actions: [Action; SIGNAL_MAX as usize],
    mask: u64,
    pending: u64,
}

/// All zero, so that it takes no room in the file.
static STATE: SpinLock<State> = SpinLock::new(State {
    actions: [Action { handler: Action::DEFAULT, flags: 0, mask: 0 }; SIGNAL_MAX as usize],
    mask: 0,
    pending: 0,
});
static ARRIVED: WaitQueue = WaitQueue::new();

/// The bit of a signal in a mask.
pub fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// SIGSEGV and SIGBUS: what the machine reports itself.
#[inline]
pub const fn is_fault(signal: u32) -> bool {
    matches!(signal, SEGMENT | BUS)
}

fn check(signal: u32) -> Result<()> {
    if (1..=SIGNAL_MAX).contains(&signal) { Ok(()) } else { Err(Errno::INVAL) }
}

/// `sigaction`: sets the action if there is a new one, and gives the old.
pub fn action(signal: u32, new: Option<Action>) -> Result<Action> {
    check(signal)?;
    if new.is_some() && matches!(signal, KILL | STOP) {
        return Err(Errno::INVAL);
    }
    let mut state = STATE.lock();
    let entry = &mut state.actions[signal as usize - 1];
    let mut old = *entry;
    if let Some(new) = new {
        *entry = new;
    }
    if old.handler == Action::DEFAULT && is_fault(signal) {
        old.handler = Action::REPORT;
    }
    Ok(old)
}

/// `sigprocmask`: `how` is 0 block, 1 unblock, 2 set. Gives the old mask; what is now deliverable, [`next`] gives.
pub fn mask(how: u32, set: Option<u64>) -> Result<u64> {
    let mut state = STATE.lock();
    let old = state.mask;
    if let Some(set) = set {
        let mask = match how {
            0 => old | set,
            1 => old & !set,
            2 => set,
            _ => return Err(Errno::INVAL),
        };
        state.mask = mask & !(bit(KILL) | bit(STOP));
    }
    Ok(old)
}

/// The signals that wait because they are blocked (`sigpending`).
pub fn pending() -> u64 {
    STATE.lock().pending
}

/// Makes a signal pending.
pub fn raise(signal: u32) -> Result<()> {
    check(signal)?;
    STATE.lock().pending |= bit(signal);
    ARRIVED.wake_all();
    Ok(())
}

/// Takes the next signal that is pending and not blocked, and says what to do about it; `None` if there is none.
pub fn next() -> Option<Delivery> {
    let mut state = STATE.lock();
    let deliverable = state.pending & !state.mask;
    if deliverable == 0 {
        return None;
    }
    let signal = deliverable.trailing_zeros() + 1;
    state.pending &= !bit(signal);
    let entry = &mut state.actions[signal as usize - 1];
    let action = *entry;
    Some(match action.handler {
        Action::IGNORE => Delivery::Nothing,
        Action::DEFAULT if ignored_by_default(signal) => Delivery::Nothing,
        Action::DEFAULT | Action::REPORT => Delivery::End(128 + u64::from(signal)),
        _ => {
            if action.flags & RESET != 0 {
                entry.handler = Action::DEFAULT;
            }
            Delivery::Call(signal, action)
        }
    })
}

/// SIGCHLD, SIGCONT, SIGURG, SIGWINCH; stopping has nobody to continue it, so SIGSTOP and its like do nothing either.
fn ignored_by_default(signal: u32) -> bool {
    matches!(signal, 17..=23 | 28)
}

/// `sigtimedwait`: takes a pending signal of `set`, waiting until `deadline_ns`.
pub fn wait(set: u64, deadline_ns: Option<u64>) -> Result<u32> {
    let take = || {
        let mut state = STATE.lock();
        let found = state.pending & set;
        if found == 0 {
            return None;
        }
        let signal = found.trailing_zeros() + 1;
        state.pending &= !bit(signal);
        Some(signal)
    };
    ARRIVED.wait_until(deadline_ns, take).ok_or(Errno::AGAIN)
}

/// `pause`, `sigsuspend`: parks until `ran` says that a handler ran.
pub fn pause(ran: &mut dyn FnMut() -> bool) {
    ARRIVED.wait_until(None, || ran().then_some(()));
}

/// A handler ran: wakes those in [`pause`].
pub fn handled() {
    ARRIVED.wake_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test: the state is the process's.
    #[test]
    fn signals_are_blocked_delivered_and_reset() {
        assert_eq!(next(), None);
        let handler = Action { handler: 0x1000, flags: RESET, mask: 0 };
        assert_eq!(action(TERMINATE, Some(handler)), Ok(Action::default()));
        assert_eq!(mask(0, Some(bit(TERMINATE))), Ok(0));
        raise(TERMINATE).expect("a number");
        assert_eq!((next(), pending()), (None, bit(TERMINATE)));
        assert_eq!(mask(2, Some(0)), Ok(bit(TERMINATE)));
        assert_eq!(next(), Some(Delivery::Call(TERMINATE, handler)));
        raise(TERMINATE).expect("a number");
        assert_eq!(next(), Some(Delivery::End(143)));
        raise(17).expect("a number");
        assert_eq!(next(), Some(Delivery::Nothing));
        assert_eq!(raise(0), Err(Errno::INVAL));
        assert_eq!(action(KILL, Some(handler)), Err(Errno::INVAL));
        raise(10).expect("a number");
        assert_eq!(wait(bit(10), Some(0)), Ok(10));
        assert_eq!(wait(bit(10), Some(0)), Err(Errno::AGAIN));
    }
}
