//! What our two own backends share: a machine is a child process, whatever that child then does with the image.
//!
//! | file | what it does | which process |
//! |---|---|---|
//! | `mod`, `parent`, `os` | forks; serves control requests; waits | parent |
//! | `layout`, `strings`, `rings`, `frames`, `boot`, `load` | say where everything lies, and fill it | child, before lock-down |
//! | `child`, `filter`, `signals` | set the child up, and give up everything else | child, up to lock-down |
//! | `tender`, `channel`, `upcall`, `vdso` | the far side of the gate, as far as it is the same for both | child, after lock-down |
//! | `message` | what the two say to each other | both |
//!
//! # Who does what
//! The child makes the data path's system calls itself, on descriptors that the parent handed in. Whatever names a peer
//! or a port goes to the parent, which checks it against the manifest. A guest that breaks out finds itself in a child
//! that may do hardly anything.

pub(crate) mod boot;
pub(crate) mod channel;
pub(crate) mod child;
pub(crate) mod filter;
pub(crate) mod frames;
pub(crate) mod layout;
pub(crate) mod load;
pub(crate) mod message;
pub(crate) mod os;
mod parent;
pub(crate) mod rings;
pub(crate) mod signals;
pub(crate) mod strings;
pub(crate) mod tender;
pub(crate) mod upcall;
pub(crate) mod vdso;

use crate::capture;
use crate::counters::Page;
use crate::debugger::{self, Attach, Debugged};
use crate::network::Link;
use crate::timeline::Mark;
use crate::{Error, Notice, Options, Outcome, Program};
use abi::manifest::Manifest;
use child::Plan;
use frames::Frames;
use layout::Layout;
use rings::Rings;
use std::os::fd::{AsFd as _, AsRawFd as _, IntoRawFd};
use strings::Strings;

/// What a backend gives to [`run`].
pub(crate) struct Backend {
    /// Bytes of memory that it wants beside the machine's own, for code and tables of the far side.
    pub(crate) far: u64,
    /// Becomes the machine, in the child. Returns only if that failed.
    pub(crate) start: fn(Plan<'_>) -> Error,
    /// Speaks a debugger's protocol. Otherwise the debugger is to attach to the process.
    pub(crate) debugs: bool,
}

/// Runs a program as a child process until it ends; see [`crate::run`].
///
/// # Errors
/// Everything that keeps the machine from starting.
pub(crate) fn run(program: &Program<'_>, options: &Options, backend: &Backend) -> Result<Outcome, Error> {
    load::check(program)?;
    let link = Link::of(program.manifest, &options.network);
    let mut strings = Strings::of(program, options)?;
    let (frames, interface) = Frames::open(&options.network, link, &mut strings)?.unzip();
    let rings = Rings::plan(link);
    let memory = options.memory.unwrap_or(program.header.memory);
    let layout = Layout::plan(program, &strings, rings.length(), backend.far, memory)?;
    let counters = options.counters.as_deref().map(Page::create).transpose()?;
    let capture = options.pcap.as_deref().map(|path| capture::create(path, link)).transpose()?;
    let base = debugger::base(options);
    let (debugger, symbols) = match (options.gdb, base) {
        (Some(port), Some(base)) if backend.debugs => {
            let (listener, address) = debugger::listen(port)?;
            let attach = Attach::new(Debugged::Remote(address), program, options, base);
            let symbols = attach.symbols.as_ref().map_or(base, |(_, address)| *address);
            options.notify.inspect(|notify| notify(&Notice::Debugger(attach)));
            (Some(debugger::accept(listener)?), symbols)
        }
        _ => (None, 0),
    };
    let seed = os::random()?;
    let (ours, theirs) = os::socket_pair()?;
    let signals = os::Signals::take()?;
    let parent = os::own_id();
    let timeline = options.timeline;
    timeline.inspect(|timeline| timeline.mark(Mark::Forked));
    match os::fork()? {
        None => {
            timeline.inspect(|timeline| timeline.mark(Mark::Child));
            let control = theirs.into_raw_fd();
            let interface = interface.map(IntoRawFd::into_raw_fd);
            let plan = Plan {
                program: *program,
                layout,
                strings,
                rings,
                frames,
                seed,
                control,
                interface,
                parent,
                counters,
                timeline,
                capture: capture.map(IntoRawFd::into_raw_fd),
                trace: options.trace.as_ref().map(|file| file.as_raw_fd()),
                debugger: debugger.map(IntoRawFd::into_raw_fd),
                base,
                symbols,
            };
            let error = (backend.start)(plan);
            os::fail(&error)
        }
        Some(mut child) => {
            drop((theirs, interface, capture, debugger));
            // Both work at the same time; the child waits for the verdict before the first instruction.
            if program.is_whole.is_some_and(|is_whole| !is_whole(program.bytes)) {
                child.signal(libc::SIGKILL);
                child.wait()?;
                return Err(Error::Damaged);
            }
            timeline.inspect(|timeline| timeline.mark(Mark::Checked));
            os::send(ours.as_fd(), &[&message::Head::new(message::Kind::Done).bytes()], None);
            // Frames are not the parent's business, and neither is a network that the operator took away.
            let unconnected = Manifest { network: None, ..program.manifest.clone() };
            let manifest = if link == Link::Sockets { program.manifest } else { &unconnected };
            let attach = base
                .filter(|_| !backend.debugs)
                .map(|base| Attach::new(Debugged::Process(child.id.cast_unsigned()), program, options, base));
            let parent = parent::Parent::new(&Program { manifest, ..*program }, options, child, ours, signals, attach);
            let outcome = parent.stay();
            timeline.inspect(|timeline| timeline.mark(Mark::End));
            outcome
        }
    }
}
