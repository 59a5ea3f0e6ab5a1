//! Signals, and the processes that a machine does not have.
//!
//! The bookkeeping is [`posix::signal`]; here are the C structures, and the calls into handlers. A handler is called like
//! any function: on the thread that raised the signal, or on the library OS's own thread for SIGTERM and SIGINT from the
//! operator, whose default is to end the machine with 143 and 130.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{done, door, give_int, put, set_errno, value};
use super::poll::{Time, deadline_of};
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use posix::errno::{Errno, Result};
use posix::signal::{self, Action, Delivery, INTERRUPT, TERMINATE};

/// `sigset_t`: 1,024 bits, of which 64 mean something.
pub(crate) type Set = [u64; 16];

/// `struct sigaction` of the C library.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct CAction {
    handler: usize,
    mask: Set,
    flags: c_int,
    restorer: usize,
}

/// The kernel's, as `rt_sigaction` takes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RawAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// `siginfo_t`, 128 bytes.
#[repr(C)]
pub(crate) struct Info {
    signal: c_int,
    errno: c_int,
    code: c_int,
    rest: [c_int; 29],
}

/// `stack_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Stack {
    base: *mut c_void,
    flags: c_int,
    size: usize,
}

type Handler = unsafe extern "C" fn(c_int, *mut Info, *mut c_void);

/// `SA_NODEFER`
const NO_DEFER: u64 = 0x4000_0000;
/// `SI_USER`
const FROM_USER: c_int = 0;

/// How many handlers have run.
static RAN: AtomicU32 = AtomicU32::new(0);

/// Asks for the operator's signals, once.
fn listen_to_operator() {
    static LISTENING: AtomicBool = AtomicBool::new(false);
    if !LISTENING.swap(true, Ordering::AcqRel) {
        thread::on_stop(operator);
    }
}

/// The operator stops or interrupts the machine. Runs on the library OS's own thread.
fn operator(events: u64) {
    for (event, signal) in [(abi::vcpu::EVENT_STOP, TERMINATE), (abi::vcpu::EVENT_INTERRUPT, INTERRUPT)] {
        if events & event != 0 {
            // A constant that is a signal's number.
            let _ = signal::raise(signal);
        }
    }
    deliver();
}

/// Deals with every signal that is pending and not blocked.
pub(crate) fn deliver() {
    while let Some(delivery) = signal::next() {
        match delivery {
            Delivery::Nothing => {}
            Delivery::End(status) => machine::end::finish(status),
            Delivery::Call(number, action) => call(number, action),
        }
    }
}

#[cfg(ampoule_trace)]
unsafe extern "Rust" {
    /// Runs a signal's handler: what that calls is the program's, and no part of the call that the signal came in. Defined
    /// by `os/trace`.
    safe fn ampoule_trace_handler(number: u32, handler: &mut dyn FnMut());
}

fn call(number: u32, action: Action) {
    let own = if action.flags & NO_DEFER != 0 { 0 } else { signal::bit(number) };
    let before = signal::mask(0, Some(action.mask | own)).unwrap_or(0);
    let mut info = Info { signal: number as c_int, errno: 0, code: FROM_USER, rest: [0; 29] };
    info.rest[1] = 1; // si_pid: ourselves
    // No context: nothing was interrupted. Room for one, should a handler look.
    let mut context = [0u64; 128];
    // SAFETY: the program gave this address as a handler of this form (one that takes fewer arguments ignores them).
    let handler: Handler = unsafe { core::mem::transmute(action.handler) };
    // SAFETY: as above; the arguments are valid as long as it runs.
    let mut run = || unsafe { handler(number as c_int, &raw mut info, context.as_mut_ptr().cast()) };
    #[cfg(not(ampoule_trace))]
    run();
    #[cfg(ampoule_trace)]
    ampoule_trace_handler(number, &mut run);
    let _ = signal::mask(2, Some(before));
    RAN.fetch_add(1, Ordering::Relaxed);
    signal::handled();
}

/// Is the action worth listening for?
fn concerns_operator(number: u32, action: &Action) -> bool {
    matches!(number, INTERRUPT | TERMINATE) && action.handler != Action::DEFAULT
}

/// Always inlined: only who may set an action for the operator's signals brings along what delivers them.
#[inline(always)]
fn set_action(number: c_int, new: Option<Action>) -> Result<Action> {
    let number = number as u32;
    let old = signal::action(number, new)?;
    if new.is_some_and(|new| concerns_operator(number, &new)) {
        listen_to_operator();
    }
    Ok(old)
}

fn set_mask(how: c_int, set: Option<u64>) -> Result<u64> {
    let old = signal::mask(how as u32, set)?;
    if let Some(set) = set {
        if how != 1 && set & (signal::bit(INTERRUPT) | signal::bit(TERMINATE)) != 0 {
            listen_to_operator();
        }
        deliver();
    }
    Ok(old)
}

pub(crate) fn do_kill(process: c_int, number: c_int) -> Result<i64> {
    match process {
        -1..=1 => raise_now(number),
        _ => Err(Errno::SRCH),
    }
}

/// `raise`, `tgkill` and the like; 0 only asks whether the target is there.
pub(crate) fn raise_now(number: c_int) -> Result<i64> {
    if number == 0 {
        return Ok(0);
    }
    signal::raise(u32::try_from(number).map_err(|_| Errno::INVAL)?)?;
    deliver();
    Ok(0)
}

pub(crate) unsafe fn do_rt_sigaction(number: c_int, new: *const RawAction, old: *mut RawAction) -> Result<i64> {
    // SAFETY: the caller's contract; null is no new action.
    let new = unsafe { new.as_ref() }.map(|n| Action { handler: n.handler, flags: n.flags, mask: n.mask });
    let before = set_action(number, new)?;
    if !old.is_null() {
        let before = RawAction { handler: before.handler, flags: before.flags, restorer: 0, mask: before.mask };
        // SAFETY: the caller's contract.
        unsafe { put(old, before) }?;
    }
    Ok(0)
}

pub(crate) unsafe fn do_sigprocmask(how: c_int, set: *const u64, old: *mut u64) -> Result<i64> {
    // SAFETY: the caller's contract; null is no new mask.
    let set = if set.is_null() { None } else { Some(unsafe { value(set) }?) };
    let before = set_mask(how, set)?;
    if !old.is_null() {
        // SAFETY: the caller's contract.
        unsafe { put(old, before) }?;
    }
    Ok(0)
}

#[inline(always)]
pub(crate) unsafe fn do_sigaltstack(old: *mut Stack) -> Result<i64> {
    if !old.is_null() {
        let stack = machine::fault::stack();
        let base = core::ptr::with_exposed_provenance_mut(stack.start);
        // SAFETY: the caller's contract.
        unsafe { put(old, Stack { base, flags: 0, size: stack.len() }) }?;
    }
    Ok(0)
}

unsafe fn wait(set: *const Set, info: *mut Info, timeout: *const Time) -> Result<i64> {
    listen_to_operator();
    // SAFETY: the caller's contract.
    let set = unsafe { value(set.cast::<u64>()) }?;
    // SAFETY: the caller's contract.
    let number = signal::wait(set, unsafe { deadline_of(timeout) }?)? as c_int;
    if !info.is_null() {
        // SAFETY: the caller's contract.
        unsafe { put(info, Info { signal: number, errno: 0, code: FROM_USER, rest: [0; 29] }) }?;
    }
    Ok(number.into())
}

/// Parks until a handler has run; says `EINTR`, as it always ends. Whoever set a handler listens to the operator already.
fn pause_now() -> c_int {
    let ran = RAN.load(Ordering::Relaxed);
    signal::pause(&mut || RAN.load(Ordering::Relaxed) != ran);
    set_errno(Errno::INTR);
    -1
}

/// Changes one bit of a set.
unsafe fn change(set: *mut Set, number: c_int, change: fn(&mut u64, u64)) -> Result<i64> {
    if !(1..=signal::SIGNAL_MAX as c_int).contains(&number) {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller's contract.
    let mut word = unsafe { value(set.cast::<u64>()) }?;
    change(&mut word, signal::bit(number as u32));
    // SAFETY: the caller's contract.
    done(unsafe { put(set.cast::<u64>(), word) })
}

unsafe fn change_action(number: c_int, new: *const CAction, old: *mut CAction) -> c_int {
    // SAFETY: the caller's contract; null is no new action.
    let new = unsafe { new.as_ref() };
    let new = new.map(|n| Action { handler: n.handler, flags: n.flags as u32 as u64, mask: n.mask[0] });
    let result = set_action(number, new).and_then(|before| {
        if old.is_null() {
            return Ok(0);
        }
        let mut mask = [0; 16];
        mask[0] = before.mask;
        let before = CAction { handler: before.handler, mask, flags: before.flags as c_int, restorer: 0 };
        // SAFETY: the caller's contract.
        done(unsafe { put(old, before) })
    });
    give_int(result)
}

door! {
    /// POSIX `sigaction`. Who only asks about a fault hears that there is a handler ([`Action::REPORT`]).
    ///
    /// std asks that when it starts. The answer is a constant and always inlined, so that link-time optimisation finds
    /// that std never sets up a handler of its own, and drops that and all it needs.
    #[inline(always)]
    fn sigaction(number: c_int, new: *const CAction, old: *mut CAction) -> c_int {
        if new.is_null() && !old.is_null() && signal::is_fault(number as u32) {
            let report = CAction { handler: Action::REPORT, mask: [0; 16], flags: 0, restorer: 0 };
            // SAFETY: the caller's contract; not null.
            unsafe { old.write(report) };
            return 0;
        }
        // SAFETY: passed on to the caller.
        unsafe { change_action(number, new, old) }
    }

    /// C `signal`.
    #[inline(always)]
    fn signal(number: c_int, handler: usize) -> usize {
        // SA_RESTART
        let new = Action { handler, flags: 0x1000_0000, mask: 0 };
        set_action(number, Some(new)).map_or_else(|error| { set_errno(error); usize::MAX }, |old| old.handler)
    }

    /// POSIX `sigprocmask`; see [`posix::signal`] for whose mask it is.
    fn sigprocmask(how: c_int, set: *const Set, old: *mut Set) -> c_int {
        // SAFETY: the caller's contract; the first word of a set is what counts.
        give_int(unsafe { do_sigprocmask(how, set.cast(), old.cast()) })
    }

    /// POSIX `pthread_sigmask`: gives the error itself.
    fn pthread_sigmask(how: c_int, set: *const Set, old: *mut Set) -> c_int {
        // SAFETY: as for `sigprocmask`.
        unsafe { do_sigprocmask(how, set.cast(), old.cast()) }.map_or_else(|error| error.0, |_| 0)
    }

    /// POSIX `sigaltstack`: another is accepted and not needed, for faults are reported from a stack of the machine's.
    ///
    /// std asks whether every thread has one. That it has is a constant and always inlined, so that link-time optimisation
    /// drops the stacks that std would make.
    #[inline(always)]
    fn sigaltstack(_new: *const Stack, old: *mut Stack) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_sigaltstack(old) })
    }

    /// POSIX `sigpending`.
    fn sigpending(set: *mut Set) -> c_int {
        let mut all = [0; 16];
        all[0] = signal::pending();
        // SAFETY: the caller's contract.
        give_int(done(unsafe { put(set, all) }))
    }

    /// POSIX `sigsuspend`.
    fn sigsuspend(set: *const Set) -> c_int {
        // SAFETY: the caller's contract.
        match unsafe { value(set.cast::<u64>()) }.and_then(|set| set_mask(2, Some(set))) {
            Err(error) => give_int(Err(error)),
            Ok(before) => {
                pause_now();
                let _ = set_mask(2, Some(before));
                set_errno(Errno::INTR);
                -1
            }
        }
    }

    /// POSIX `pause`.
    fn pause() -> c_int {
        pause_now()
    }

    /// POSIX `sigtimedwait`.
    fn sigtimedwait(set: *const Set, info: *mut Info, timeout: *const Time) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { wait(set, info, timeout) })
    }

    /// POSIX `sigwaitinfo`.
    fn sigwaitinfo(set: *const Set, info: *mut Info) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { wait(set, info, core::ptr::null()) })
    }

    /// POSIX `sigwait`: gives the error itself.
    fn sigwait(set: *const Set, number: *mut c_int) -> c_int {
        // SAFETY: the caller's contract.
        let result = unsafe { wait(set, core::ptr::null_mut(), core::ptr::null()) };
        // SAFETY: the caller's contract.
        result.and_then(|n| unsafe { put(number, n as c_int) }).map_or_else(|error| error.0, |()| 0)
    }

    /// POSIX `kill`: there is one process, number 1.
    fn kill(process: c_int, number: c_int) -> c_int {
        give_int(do_kill(process, number))
    }

    /// POSIX `killpg`.
    fn killpg(group: c_int, number: c_int) -> c_int {
        give_int(do_kill(group, number))
    }

    /// C `raise`.
    fn raise(number: c_int) -> c_int {
        give_int(raise_now(number))
    }

    /// POSIX `pthread_kill`: the handler runs on the calling thread, whichever is named. Gives the error itself.
    fn pthread_kill(_thread: usize, number: c_int) -> c_int {
        raise_now(number).map_or_else(|error| error.0, |_| 0)
    }

    /// Linux `tgkill`.
    fn tgkill(_process: c_int, _thread: c_int, number: c_int) -> c_int {
        give_int(raise_now(number))
    }

    /// POSIX `sigemptyset`.
    fn sigemptyset(set: *mut Set) -> c_int {
        // SAFETY: the caller's contract.
        give_int(done(unsafe { put(set, [0; 16]) }))
    }

    /// POSIX `sigfillset`.
    fn sigfillset(set: *mut Set) -> c_int {
        // SAFETY: the caller's contract.
        give_int(done(unsafe { put(set, [u64::MAX; 16]) }))
    }

    /// POSIX `sigaddset`.
    fn sigaddset(set: *mut Set, number: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(set, number, |word, bit| *word |= bit) })
    }

    /// POSIX `sigdelset`.
    fn sigdelset(set: *mut Set, number: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(set, number, |word, bit| *word &= !bit) })
    }

    /// POSIX `sigismember`.
    fn sigismember(set: *const Set, number: c_int) -> c_int {
        if !(1..=signal::SIGNAL_MAX as c_int).contains(&number) {
            return give_int(Err(Errno::INVAL));
        }
        // SAFETY: the caller's contract.
        give_int(unsafe { value(set.cast::<u64>()) }.map(|word| i64::from(word & signal::bit(number as u32) != 0)))
    }

    /// The least real-time signal, as glibc counts.
    fn __libc_current_sigrtmin() -> c_int {
        34
    }

    /// The largest real-time signal.
    fn __libc_current_sigrtmax() -> c_int {
        signal::SIGNAL_MAX as c_int
    }

    /// POSIX `fork`: a machine is one process.
    fn fork() -> c_int {
        give_int(Err(Errno::NOSYS))
    }

    /// BSD `vfork`.
    fn vfork() -> c_int {
        give_int(Err(Errno::NOSYS))
    }

    /// POSIX `execve`.
    fn execve(_path: *const c_char, _arguments: *const c_void, _environment: *const c_void) -> c_int {
        give_int(Err(Errno::NOSYS))
    }

    /// POSIX `execv`.
    fn execv(_path: *const c_char, _arguments: *const c_void) -> c_int {
        give_int(Err(Errno::NOSYS))
    }

    /// POSIX `execvp`.
    fn execvp(_path: *const c_char, _arguments: *const c_void) -> c_int {
        give_int(Err(Errno::NOSYS))
    }

    /// POSIX `setuid`: user 0 is all there is.
    fn setuid(user: u32) -> c_int {
        give_int(if user == 0 { Ok(0) } else { Err(Errno::INVAL) })
    }

    /// POSIX `setgid`.
    fn setgid(group: u32) -> c_int {
        give_int(if group == 0 { Ok(0) } else { Err(Errno::INVAL) })
    }

    /// BSD `setgroups`.
    fn setgroups(_count: usize, _groups: *const u32) -> c_int {
        give_int(Err(Errno::PERM))
    }

    /// POSIX `setpgid`.
    fn setpgid(_process: c_int, _group: c_int) -> c_int {
        give_int(Err(Errno::PERM))
    }

    /// POSIX `setsid`: the one process leads its group already.
    fn setsid() -> c_int {
        give_int(Err(Errno::PERM))
    }

    /// POSIX `posix_spawn`: gives the error itself.
    fn posix_spawn(
        _process: *mut c_int, _path: *const c_char, _actions: *const c_void, _attributes: *const c_void,
        _arguments: *const c_void, _environment: *const c_void,
    ) -> c_int {
        Errno::NOSYS.0
    }

    /// POSIX `posix_spawnp`: gives the error itself.
    fn posix_spawnp(
        _process: *mut c_int, _path: *const c_char, _actions: *const c_void, _attributes: *const c_void,
        _arguments: *const c_void, _environment: *const c_void,
    ) -> c_int {
        Errno::NOSYS.0
    }

    /// POSIX `posix_spawn_file_actions_init`: accepted; the spawn itself says why not.
    fn posix_spawn_file_actions_init(_actions: *mut c_void) -> c_int { 0 }
    /// POSIX `posix_spawn_file_actions_destroy`.
    fn posix_spawn_file_actions_destroy(_actions: *mut c_void) -> c_int { 0 }
    /// POSIX `posix_spawn_file_actions_adddup2`.
    fn posix_spawn_file_actions_adddup2(_actions: *mut c_void, _from: c_int, _to: c_int) -> c_int { 0 }
    /// POSIX `posix_spawnattr_init`.
    fn posix_spawnattr_init(_attributes: *mut c_void) -> c_int { 0 }
    /// POSIX `posix_spawnattr_destroy`.
    fn posix_spawnattr_destroy(_attributes: *mut c_void) -> c_int { 0 }
    /// POSIX `posix_spawnattr_setflags`.
    fn posix_spawnattr_setflags(_attributes: *mut c_void, _flags: i16) -> c_int { 0 }
    /// POSIX `posix_spawnattr_setpgroup`.
    fn posix_spawnattr_setpgroup(_attributes: *mut c_void, _group: c_int) -> c_int { 0 }
    /// POSIX `posix_spawnattr_setsigdefault`.
    fn posix_spawnattr_setsigdefault(_attributes: *mut c_void, _set: *const Set) -> c_int { 0 }
    /// POSIX `posix_spawnattr_setsigmask`.
    fn posix_spawnattr_setsigmask(_attributes: *mut c_void, _set: *const Set) -> c_int { 0 }

    /// POSIX `waitpid`: there are no children.
    fn waitpid(_process: c_int, _status: *mut c_int, _options: c_int) -> c_int {
        give_int(Err(Errno::CHILD))
    }

    /// POSIX `wait`.
    fn wait3(_status: *mut c_int, _options: c_int, _usage: *mut c_void) -> c_int {
        give_int(Err(Errno::CHILD))
    }

    /// BSD `wait4`.
    fn wait4(_process: c_int, _status: *mut c_int, _options: c_int, _usage: *mut c_void) -> c_int {
        give_int(Err(Errno::CHILD))
    }

    /// POSIX `waitid`.
    fn waitid(_kind: c_int, _id: u32, _info: *mut Info, _options: c_int) -> c_int {
        give_int(Err(Errno::CHILD))
    }
}
