//! Many machines on one computer: started in the background, found again by name, stopped and removed.
//!
//! There is no daemon. Each machine has a process of its own that looks after it, and a folder that says what it is; so
//! nothing that happens to one of them can touch another.
//!
//! | process | what it does | file |
//! |---|---|---|
//! | `ampoule run --detach` | hands over what to run, waits for the verdict, says it and ends | [`start`] |
//! | the *supervisor* | holds the name, keeps the log, waits for the end and writes it down | [`supervisor`] |
//! | the *runner* | an ordinary `ampoule run`, which is the machine or its parent | [`runner`] |
//!
//! All three are the tool itself with the same command line; an environment variable says which one a process is to be.
//! The first starts the second, the second starts the third, and each pair talks over a socket pair that the younger one
//! finds as its standard input ([`link`](mod@link)). The supervisor does not run the machine itself: whatever the machine
//! does to its runner, there is somebody left to write down how it ended.
//!
//! # Who is alive
//! The supervisor keeps a record lock on the machine's `lock` file for as long as it lives ([`life`]). The kernel drops the
//! lock with the process, whatever ends it, and names its holder to whoever asks. So a process number is never taken from
//! a file: a number that was reused, a host that was restarted, a supervisor that was killed cannot be mistaken for a
//! machine that runs. The runner is not reaped before the supervisor ends, so its number too is its own while the lock is
//! held.
//!
//! A supervisor that is killed takes its runner along (`PR_SET_PDEATHSIG`), and that one its machine. What remains is a
//! folder without an end and without a holder: the machine is *lost*. Its name is free for the next one.
//!
//! # Where
//! See [`folder`](mod@folder). Below it:
//!
//! ```text
//! lock                      held for the moment in which a name is taken or given up
//! machines/NAME/lock        held by the supervisor for its life
//! machines/NAME/state.json  what the machine is; replaced as a whole (`record`)
//! machines/NAME/log, log.1  what it printed, at most the last 2 MiB (`log`)
//! machines/NAME/counters    what it has done, as the monitor says
//! ```
#![forbid(unsafe_code)]

mod clock;
mod error;
pub mod folder;
pub mod life;
pub mod link;
pub mod log;
mod machine;
mod name;
mod process;
mod record;
pub mod runner;
pub mod start;
mod starting;
mod store;
pub mod supervisor;
pub mod usage;

pub use error::Error;
pub use machine::{Machine, State, Stopped};
pub use name::{Name, NotAName};
pub use record::{End, Port, Protocol, Record};
pub use store::Store;

/// The mode of all files. The sticky bit keeps those who clean old files away (XDG Base Directory Specification,
/// `$XDG_RUNTIME_DIR`; systemd-tmpfiles does so in /tmp as well): a machine may run for longer than they wait.
const FILE_MODE: u32 = 0o1600;
/// Says what a process of this tool is to be; without it, it is what its command line says.
const ROLE: &str = "AMPOULE_DETACHED";
/// The image that a supervised machine runs: built and found by the one who started it.
const IMAGE: &str = "AMPOULE_DETACHED_IMAGE";
/// The folder of a supervised machine.
const FOLDER: &str = "AMPOULE_DETACHED_FOLDER";
/// The file of a machine's counters, in its folder.
const COUNTERS: &str = "counters";
