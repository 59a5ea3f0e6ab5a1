//! The process tender: the guest as a locked-down child of this process.
//!
//! | file | what it does | which process |
//! |---|---|---|
//! | `mod`, `parent`, `os` | forks; serves control requests; waits | parent |
//! | `layout`, `strings`, `rings`, `boot`, `load` | say where everything lies, and fill it | child, before lock-down |
//! | `child`, `filter` | becomes the machine, gives up everything else | child, up to lock-down |
//! | `gate`, `tender`, `channel`, `signals`, `vdso` | the far side of the gate | child, after lock-down |
//! | `message` | what the two say to each other | both |
//!
//! # System calls
//! Without a network the child may make seven: `read`, `write`, `epoll_pwait2`, `mprotect` and `madvise` (in the arena,
//! never executable), `exit_group`, and `rt_sigreturn` (from its one place). With a network five more: `recvmsg`,
//! `accept4`, `epoll_ctl` (additions), `close`, `shutdown`. Besides, `clock_gettime` from the vDSO's own pages, which
//! makes the call only where the host's clock cannot be read from user space. All come from one instruction; see
//! `filter`. Linux 5.11 is the oldest kernel that has them all.
//!
//! # Who does what
//! The child makes the data path's system calls itself, inside the gate, on descriptors that the parent handed in.
//! Whatever names a peer or a port goes to the parent, which checks it against the manifest.

mod boot;
mod channel;
mod child;
mod filter;
mod gate;
mod layout;
mod load;
mod message;
pub(crate) mod os;
mod parent;
mod rings;
mod signals;
mod strings;
mod tender;
mod vdso;

use crate::jail::Jail;
use crate::{Error, Options, Outcome, Program};
use layout::Layout;
use rings::Rings;
use std::os::fd::AsFd as _;
use strings::Strings;

/// Runs a program as a child process until it ends; see [`crate::run`].
///
/// # Errors
/// Everything that keeps the machine from starting.
pub fn run(program: &Program<'_>, options: &Options) -> Result<Outcome, Error> {
    load::check(program)?;
    let strings = Strings::of(program, options)?;
    let rings = Rings::plan(program.manifest.network.is_some());
    let memory = options.memory.unwrap_or(program.header.memory);
    let layout = Layout::plan(program, &strings, rings.length(), memory)?;
    let seed = os::random()?;
    let (ours, theirs) = os::socket_pair()?;
    let signals = os::Signals::take()?;
    let parent = os::own_id();
    match os::fork()? {
        None => {
            let error =
                child::start(child::Plan { program: *program, layout, strings, rings, seed, control: theirs, parent });
            os::fail(&error)
        }
        Some(mut child) => {
            drop(theirs);
            // Both work at the same time; the child waits for the verdict before the first instruction.
            if program.is_whole.is_some_and(|is_whole| !is_whole(program.bytes)) {
                child.signal(libc::SIGKILL);
                child.wait()?;
                return Err(Error::Damaged);
            }
            os::send(ours.as_fd(), &[&message::Head::new(message::Kind::Done).bytes()], None);
            let parent = parent::Parent::new(program, options, child, ours, signals);
            Jail::new(program.manifest, &options.publish).enter()?;
            parent.stay()
        }
    }
}

/// The numbers of the system calls that a machine may make as a process, with or without a network.
pub fn system_calls(network: bool) -> Vec<u32> {
    let nothing = Layout::empty();
    filter::Rules { layout: nothing, network, site: 0, restorer: 0, vdso: (1, 1) }.numbers()
}
