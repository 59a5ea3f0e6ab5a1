//! A process, held by a descriptor (pidfd_open(2)): a signal reaches it or nobody, whatever becomes of its number.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    handle: OwnedFd,
}

impl Process {
    /// The process that has this number now, if there is one.
    pub(crate) fn open(pid: Pid) -> Result<Self, rustix::io::Errno> {
        pidfd_open(pid, PidfdFlags::empty()).map(|handle| Self { handle })
    }

    /// Sends a signal. A process that has ended needs none, so that is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// Waits for its end, until then; has it ended?
    pub(crate) fn wait(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let ready = wait_for(&[self.handle.as_fd()], Some(left));
            if ready == [true] {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// When a process started, in ticks since the host's start (proc_pid_stat(5), field 22).
pub(crate) fn start_ticks(pid: Pid) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The second field is the program's name in parentheses, in which anything may stand.
    let (_, rest) = text.rsplit_once(") ")?;
    rest.split(' ').nth(19)?.parse().ok()
}

/// Waits until one of the descriptors is readable or closed, or the time is over; says which are.
pub(crate) fn wait_for(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Vec<bool> {
    let mut set: Vec<_> = descriptors.iter().map(|d| PollFd::from_borrowed_fd(*d, PollFlags::IN)).collect();
    // Rounded up: a wait that ends a little early would only be taken up again.
    let timeout = timeout.and_then(|t| Timespec::try_from(t.saturating_add(Duration::from_micros(1))).ok());
    let _ = poll(&mut set, timeout.as_ref());
    set.iter().map(|p| !p.revents().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_signalled_and_waited_for() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep");
        let pid = Pid::from_child(&child);
        let process = Process::open(pid).expect("it runs");
        let ticks = start_ticks(pid).expect("it started");
        assert!(ticks >= start_ticks(rustix::process::getpid()).expect("so did we"));
        assert!(!process.wait(Instant::now() + Duration::from_millis(20)));
        process.signal(Signal::KILL);
        assert!(process.wait(Instant::now() + Duration::from_secs(20)));
        child.wait().expect("reaped");
        // Its number is free; the handle still means the one that has ended.
        process.signal(Signal::KILL);
        assert!(Process::open(pid).is_err());
    }
}
