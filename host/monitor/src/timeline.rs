//! When a machine came how far, on both sides of the gate, from the tool's start to the program's first answer.
//!
//! The marks lie in a page that the tool and the machine's own process share; each is set once. Where nobody asks for a
//! timeline there is no page, and a mark is a branch that is not taken. Inside the machine there are two marks that are always set
//! ([`abi::vcpu::Vcpu::marks`]); everything else that its program does is seen from outside, at the devices.

use crate::Error;
use crate::machine::vdso;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Mark {
    /// The tool runs.
    Start,
    /// The image is open and its header read.
    Opened,
    /// The machine's process was started.
    Forked,
    /// The image's digest was found right.
    Checked,
    /// The machine's process runs.
    Child,
    /// Its memory is there.
    Reserved,
    /// There is a virtual machine with a CPU.
    Vm,
    /// The CPU's features and clock are set.
    Cpu,
    /// The image is in the memory, relocated, with the boot information.
    Filled,
    /// Every page has its final access.
    Sealed,
    /// The guest's page tables are written.
    Tables,
    /// Its devices can be served.
    Devices,
    /// The tool has said that the image is whole.
    Verdict,
    /// All rights are given up.
    Locked,
    /// The guest's first instruction.
    Entry,
    /// The program's `main`.
    Main,
    /// The first output came out.
    Output,
    /// The first port listens.
    Listening,
    /// The first bytes came in from the network.
    Request,
    /// The first bytes went out to the network.
    Answer,
    /// The machine has ended.
    End,
}

/// How many there are.
const MARKS: usize = Mark::End as usize + 1;

/// Who was at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The tool's process.
    Tool,
    /// The machine's process, below the gate.
    Machine,
    /// The program and its library OS.
    Program,
}

/// What was done between two marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// By whom.
    pub lane: Lane,
    /// What.
    pub what: &'static str,
    /// The mark at which it was done.
    pub end: Mark,
    /// Nanoseconds since the first mark.
    pub from_ns: u64,
    /// Nanoseconds since the first mark.
    pub to_ns: u64,
}

/// Marks, and what leads to them.
type Ends = &'static [(Mark, &'static str)];

/// The first mark of each lane, and the others with what leads to them.
const LANES: [(Lane, Mark, Ends); 3] = [
    (
        Lane::Tool,
        Mark::Start,
        &[
            (Mark::Opened, "reads the command line, opens the image"),
            (Mark::Forked, "lays the machine out, starts its process"),
            (Mark::Checked, "checks the image's digest"),
        ],
    ),
    (
        Lane::Machine,
        Mark::Forked,
        &[
            (Mark::Child, "starts"),
            (Mark::Reserved, "makes memory"),
            (Mark::Vm, "makes a virtual machine"),
            (Mark::Cpu, "sets its CPU and clock up"),
            (Mark::Filled, "loads and relocates the image"),
            (Mark::Sealed, "seals it"),
            (Mark::Tables, "writes page tables, sets registers"),
            (Mark::Devices, "sets devices up"),
            (Mark::Verdict, "waits for the digest"),
            (Mark::Locked, "gives its rights up"),
            (Mark::Entry, "enters the guest"),
        ],
    ),
    (
        Lane::Program,
        Mark::Entry,
        &[
            (Mark::Main, "library OS and std start"),
            (Mark::Output, "comes to its first output"),
            (Mark::Listening, "comes to listen"),
            (Mark::Request, "comes to its first bytes from the network"),
            (Mark::Answer, "comes to its first bytes for the network"),
            (Mark::End, "comes to its end"),
        ],
    ),
];

#[derive(Debug)]
#[repr(C)]
struct Page([AtomicU64; MARKS]);

/// The marks of one machine.
#[derive(Clone, Copy, Debug)]
pub struct Timeline(&'static Page);

impl Timeline {
    /// Without marks yet. Its page stays for this process's life, and for that of those that it forks.
    ///
    /// # Errors
    /// The kernel has no page.
    pub fn new() -> Result<Self, Error> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Page>(), access, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(Error::last("make a timeline"));
        }
        // SAFETY: page-aligned, zeroed, mapped for good, and all access is atomic.
        Ok(Self(unsafe { &*at.cast::<Page>() }))
    }

    /// Now: in nanoseconds of the monotonic clock.
    pub fn now() -> u64 {
        vdso::now(libc::CLOCK_MONOTONIC)
    }

    /// It came this far just now, if it had not before.
    pub fn mark(&self, mark: Mark) {
        self.mark_at(mark, Self::now());
    }

    /// It came this far at a time of [`Timeline::now`].
    pub fn mark_at(&self, mark: Mark, ns: u64) {
        let place = &self.0.0[mark as usize];
        if place.load(Ordering::Relaxed) == 0 {
            place.store(ns.max(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn is_marked(&self, mark: Mark) -> bool {
        self.0.0[mark as usize].load(Ordering::Relaxed) != 0
    }

    /// What was done when: lane by lane, in the order of time.
    pub fn phases(&self) -> Vec<Phase> {
        let at = |mark: Mark| Some(self.0.0[mark as usize].load(Ordering::Relaxed)).filter(|ns| *ns != 0);
        let Some(zero) = at(Mark::Start) else { return Vec::new() };
        let mut phases = Vec::new();
        for (lane, first, others) in LANES {
            // Where a lane's first mark is unknown, whatever came before it leads on.
            let mut from = at(first).or(at(Mark::Forked)).unwrap_or(zero);
            let mut others: Vec<_> =
                others.iter().filter_map(|(mark, what)| Some((at(*mark)?, *mark, *what))).collect();
            others.sort_by_key(|(ns, mark, _)| (*ns, *mark as usize));
            for (ns, end, what) in others {
                let is_unseen = end == Mark::Output && at(Mark::Entry).is_none();
                let what = if is_unseen { "QEMU starts and boots it, to its first output" } else { what };
                let ns = ns.max(from);
                let relative = |ns: u64| ns.saturating_sub(zero);
                phases.push(Phase { lane, what, end, from_ns: relative(from), to_ns: relative(ns) });
                from = ns;
            }
        }
        phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_phases() {
        let timeline = Timeline::new().expect("a page");
        assert!(timeline.phases().is_empty());
        let marks = [
            (Mark::Start, 100),
            (Mark::Opened, 150),
            (Mark::Forked, 200),
            (Mark::Child, 210),
            (Mark::Sealed, 260),
            (Mark::Checked, 250),
            (Mark::Entry, 300),
            (Mark::Main, 310),
            (Mark::Listening, 340),
            (Mark::Output, 350),
        ];
        for (mark, ns) in marks {
            timeline.mark_at(mark, ns);
        }
        timeline.mark(Mark::Main); // not for the first time
        let found: Vec<_> = timeline.phases().iter().map(|p| (p.lane, p.end, p.from_ns, p.to_ns)).collect();
        let expected = [
            (Lane::Tool, Mark::Opened, 0, 50),
            (Lane::Tool, Mark::Forked, 50, 100),
            (Lane::Tool, Mark::Checked, 100, 150),
            (Lane::Machine, Mark::Child, 100, 110),
            (Lane::Machine, Mark::Sealed, 110, 160),
            (Lane::Machine, Mark::Entry, 160, 200),
            (Lane::Program, Mark::Main, 200, 210),
            (Lane::Program, Mark::Listening, 210, 240),
            (Lane::Program, Mark::Output, 240, 250),
        ];
        assert_eq!(found, expected);
    }
}
