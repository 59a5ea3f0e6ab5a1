//! The seccomp filter: which system calls the locked-down child may make, from where, with which arguments.
//!
//! A program for the kernel's classic BPF machine (`seccomp(2)`), composed from what the manifest gives. Three things are
//! checked, in this order:
//!
//! 1. **Where from.** Only the tender's one `syscall` instruction counts ([`host_device::system::site`]). From anywhere
//!    else, in a process the guest's text above all, every call is turned into a SIGSYS: there the guest's own fault
//!    handler sees it, under KVM the machine ends.
//! 2. **Which.** What is not listed kills the process.
//! 3. **With what.** Memory calls are confined to the arena and can never make anything executable. Under KVM `ioctl` may
//!    run the one vCPU and read and write its system registers, and `setitimer` may set the slice timer. Calls that carry an
//!    address for the network (`connect`, `sendto`, `sendmsg`) are not there at all: a peer can be named to the parent
//!    alone, which checks the manifest.

use super::layout::Span;
use host_device::system::number;
use libc::sock_filter;

// struct seccomp_data
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const POINTER: u32 = 8;
const ARGUMENTS: u32 = 16;

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;

/// What the filter is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The arena, as the child sees it.
    pub(crate) arena: Span,
    /// Does the manifest give the machine a network?
    pub(crate) network: bool,
    /// Where the kernel sees the tender's calls come from.
    pub(crate) site: u64,
    /// Where it sees the way back from a signal handler come from.
    pub(crate) restorer: u64,
    /// The pages of the vDSO, whose `clock_gettime` falls back on the system call where the host's clock source cannot
    /// be read from user space.
    pub(crate) vdso: (u64, u64),
    /// Under KVM: the vCPU.
    pub(crate) vcpu: Option<Vcpu>,
}

/// What the child may do with a vCPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vcpu {
    /// Its descriptor.
    pub(crate) descriptor: i32,
    /// The requests that `ioctl` may make of it.
    pub(crate) requests: &'static [u32],
    /// The one timer that `setitimer` may set.
    pub(crate) timer: i32,
}

/// The numbers of the calls that the child may make, for the curious and for the tests.
pub(crate) fn numbers(network: bool, vcpu: bool, vdso: bool) -> Vec<u32> {
    let mut numbers = Vec::new();
    if vcpu {
        numbers.extend([number::IOCTL, number::SETITIMER]);
    }
    numbers.extend([
        number::READ,
        number::WRITE,
        number::EPOLL_PWAIT2,
        number::MPROTECT,
        number::MADVISE,
        number::EXIT_GROUP,
        number::RT_SIGRETURN,
    ]);
    if !vdso {
        numbers.push(number::CLOCK_GETTIME);
    }
    if network {
        numbers.extend([number::RECVMSG, number::ACCEPT4, number::EPOLL_CTL, number::CLOSE, number::SHUTDOWN]);
    }
    numbers
}

impl Rules {
    /// The program.
    pub(crate) fn assemble(&self) -> Vec<sock_filter> {
        let mut code = Assembler::default();
        code.load(ARCHITECTURE);
        // `int 0x80`, with another table of numbers: never the tender's.
        code.0.push(jump(libc::BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0));
        code.result(TRAP);
        self.elsewhere(&mut code);
        code.load(NUMBER);
        for number in numbers(self.network, self.vcpu.is_some(), self.vdso != (0, 0)) {
            let rule = self.rule(number);
            code.skip_unless_equal(number, rule.len());
            code.append(rule);
        }
        code.result(KILL);
        code.0
    }

    /// The checks of one call, ending in a verdict.
    fn rule(&self, number: u32) -> Assembler {
        let mut code = Assembler::default();
        match number {
            number::MPROTECT => {
                self.confine(&mut code);
                code.require_without(2, !(libc::PROT_READ | libc::PROT_WRITE) as u32);
            }
            number::MADVISE => {
                self.confine(&mut code);
                code.load(ARGUMENTS + 16);
                code.require_equal(libc::MADV_DONTNEED as u32);
            }
            // Only additions; the set's events never name memory.
            number::EPOLL_CTL => {
                code.load(ARGUMENTS + 8);
                code.require_equal(libc::EPOLL_CTL_ADD as u32);
            }
            number::IOCTL => match self.vcpu {
                Some(vcpu) => {
                    code.load(ARGUMENTS);
                    code.require_equal(vcpu.descriptor as u32);
                    code.load(ARGUMENTS + 8);
                    code.require_one_of(vcpu.requests);
                }
                None => code.result(KILL),
            },
            number::SETITIMER => {
                code.load(ARGUMENTS);
                code.require_equal(self.vcpu.map_or(u32::MAX, |v| v.timer as u32));
            }
            // From here it is forged: the real one comes from the restorer, see `elsewhere`.
            number::RT_SIGRETURN => {
                code.result(KILL);
                return code;
            }
            _ => {}
        }
        code.result(ALLOW);
        code
    }

    /// Arguments 0 and 1 are a range of the arena. The stretch behind it, as long as itself, holds nothing.
    fn confine(&self, code: &mut Assembler) {
        code.require_at_least(0, self.arena.start);
        code.require_below(0, self.arena.end);
        code.require_below(1, self.arena.length() + 1);
    }

    /// Lets calls from the tender's site go on, decides all others.
    fn elsewhere(&self, code: &mut Assembler) {
        let mut other = Assembler::default();
        let mut restorer = Assembler::default();
        restorer.skip_unless_pointer(self.restorer, 1);
        restorer.result(ALLOW);
        restorer.result(TRAP);
        let mut clock = Assembler::default();
        clock.load(POINTER + 4);
        clock.skip_unless_equal((self.vdso.0 >> 32) as u32, 4);
        clock.load(POINTER);
        clock.0.push(jump(libc::BPF_JGE, self.vdso.0 as u32, 0, 2));
        clock.0.push(jump(libc::BPF_JGE, self.vdso.1 as u32, 1, 0));
        clock.result(ALLOW);
        clock.result(TRAP);
        other.load(NUMBER);
        other.skip_unless_equal(number::RT_SIGRETURN, restorer.len());
        other.append(restorer);
        other.skip_unless_equal(number::CLOCK_GETTIME, clock.len());
        other.append(clock);
        other.result(TRAP);
        // From the site: over all of that.
        code.load(POINTER);
        code.0.push(jump(libc::BPF_JEQ, self.site as u32, 0, 3));
        code.load(POINTER + 4);
        code.0.push(jump(libc::BPF_JEQ, (self.site >> 32) as u32, 0, 1));
        code.0.push(sock_filter { code: (libc::BPF_JMP | libc::BPF_JA) as u16, jt: 0, jf: 0, k: other.len() as u32 });
        code.append(other);
    }
}

#[derive(Default)]
struct Assembler(Vec<sock_filter>);

fn jump(condition: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | condition | libc::BPF_K) as u16, jt: yes, jf: no, k: value }
}

impl Assembler {
    fn len(&self) -> u8 {
        // Blocks are a dozen instructions; a longer one would be a mistake here, and the kernel would refuse it.
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    fn append(&mut self, mut other: Assembler) {
        self.0.append(&mut other.0);
    }

    fn load(&mut self, offset: u32) {
        let code = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        self.0.push(sock_filter { code, jt: 0, jf: 0, k: offset });
    }

    fn result(&mut self, verdict: u32) {
        self.0.push(sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: verdict });
    }

    fn require_equal(&mut self, value: u32) {
        self.0.push(jump(libc::BPF_JEQ, value, 1, 0));
        self.result(KILL);
    }

    fn require_one_of(&mut self, values: &[u32]) {
        for (index, value) in values.iter().enumerate() {
            let rest = values.len() - index; // the other values, and the verdict
            self.0.push(jump(libc::BPF_JEQ, *value, rest as u8, 0));
        }
        self.result(KILL);
    }

    fn skip_unless_equal(&mut self, value: u32, count: u8) {
        self.0.push(jump(libc::BPF_JEQ, value, 0, count));
    }

    /// Skips `count` instructions unless the instruction pointer is `value`.
    fn skip_unless_pointer(&mut self, value: u64, count: u8) {
        self.load(POINTER);
        self.0.push(jump(libc::BPF_JEQ, value as u32, 0, 2 + count));
        self.load(POINTER + 4);
        self.0.push(jump(libc::BPF_JEQ, (value >> 32) as u32, 0, count));
    }

    /// None of these bits in the argument's low half, which is all that the kernel's own `int` has.
    fn require_without(&mut self, argument: u32, bits: u32) {
        self.load(ARGUMENTS + 8 * argument);
        self.0.push(jump(libc::BPF_JSET, bits, 0, 1));
        self.result(KILL);
        self.load(ARGUMENTS + 8 * argument + 4);
        self.require_equal(0);
    }

    fn require_at_least(&mut self, argument: u32, value: u64) {
        self.load(ARGUMENTS + 8 * argument + 4);
        self.0.push(jump(libc::BPF_JGT, (value >> 32) as u32, 4, 0));
        self.0.push(jump(libc::BPF_JEQ, (value >> 32) as u32, 0, 2));
        self.load(ARGUMENTS + 8 * argument);
        self.0.push(jump(libc::BPF_JGE, value as u32, 1, 0));
        self.result(KILL);
    }

    fn require_below(&mut self, argument: u32, value: u64) {
        self.load(ARGUMENTS + 8 * argument + 4);
        self.0.push(jump(libc::BPF_JGT, (value >> 32) as u32, 3, 0));
        self.0.push(jump(libc::BPF_JEQ, (value >> 32) as u32, 0, 3));
        self.load(ARGUMENTS + 8 * argument);
        self.0.push(jump(libc::BPF_JGE, value as u32, 0, 1));
        self.result(KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: u64 = 0x5555_0000_1234;

    /// What the kernel's machine says to a call: the verdict.
    fn verdict(network: bool, number: u32, pointer: u64, arguments: [u64; 3]) -> u32 {
        verdict_of(AUDIT_ARCH_X86_64, None, network, number, pointer, arguments)
    }

    fn verdict_of(
        architecture: u32,
        vcpu: Option<Vcpu>,
        network: bool,
        number: u32,
        pointer: u64,
        arguments: [u64; 3],
    ) -> u32 {
        let arena = Span { start: 0x1_8000_0000, end: 0x2_4000_0000 };
        let vdso = (0x7fff_0000_0000, 0x7fff_0000_4000);
        let program = Rules { arena, network, site: SITE, restorer: 0x5555_0000_9999, vdso, vcpu }.assemble();
        let load = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE => architecture,
            POINTER => pointer as u32,
            12 => (pointer >> 32) as u32,
            _ => {
                let word = arguments.get((offset as usize - 16) / 8).copied().unwrap_or(0);
                (word >> (offset % 8 * 8)) as u32
            }
        };
        let (mut at, mut value) = (0, 0);
        loop {
            let i = program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
            match u32::from(i.code) & 0xf7 {
                0x20 => value = load(i.k),
                0x05 => at += i.k as usize,
                0x15 => at += jump(value == i.k),
                0x25 => at += jump(value > i.k),
                0x35 => at += jump(value >= i.k),
                0x45 => at += jump(value & i.k != 0),
                0x06 => return i.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn only_the_tenders_own_instruction_counts() {
        assert_eq!(verdict(false, number::WRITE, SITE, [0; 3]), ALLOW);
        for pointer in [0, 0x1234, SITE + 2, SITE ^ 1 << 40] {
            assert_eq!(verdict(false, number::WRITE, pointer, [0; 3]), TRAP, "{pointer:#x}");
        }
        assert_eq!(verdict(false, number::RT_SIGRETURN, 0x5555_0000_9999, [0; 3]), ALLOW);
        assert_eq!(verdict(false, number::RT_SIGRETURN, SITE, [0; 3]), KILL);
        assert_eq!(verdict(false, number::CLOCK_GETTIME, 0x7fff_0000_0123, [0; 3]), ALLOW);
        assert_eq!(verdict(false, number::CLOCK_GETTIME, 0x7fff_0000_4000, [0; 3]), TRAP);
        const AUDIT_ARCH_I386: u32 = 0x4000_0003;
        for number in [number::WRITE, number::READ, number::CLOSE, number::EXIT_GROUP] {
            assert_eq!(verdict_of(AUDIT_ARCH_I386, None, true, number, SITE, [0; 3]), TRAP, "{number}");
        }
    }

    #[test]
    fn what_the_manifest_does_not_give_kills() {
        for number in [number::ACCEPT4, number::CLOSE, number::RECVMSG, number::EPOLL_CTL, number::SHUTDOWN] {
            assert_eq!(verdict(false, number, SITE, [0, 1, 0]), KILL);
            assert_eq!(verdict(true, number, SITE, [0, 1, 0]), ALLOW);
        }
        // open, socket, connect, sendto, sendmsg, execve, clone, mmap, and a number of the x32 kind
        for number in [2, 41, 42, 44, 46, 59, 56, 9, 0x4000_0001] {
            assert_eq!(verdict(true, number, SITE, [0; 3]), KILL, "{number}");
        }
    }

    #[test]
    fn memory_calls_stay_in_the_arena_and_make_no_code() {
        let protect = |address, length, access| verdict(false, number::MPROTECT, SITE, [address, length, access]);
        assert_eq!(protect(0x1_8000_0000, 0x1000, 3), ALLOW);
        assert_eq!(protect(0x2_3fff_f000, 0x1000, 0), ALLOW);
        assert_eq!(protect(0x1_7fff_f000, 0x1000, 3), KILL);
        assert_eq!(protect(0x2_4000_0000, 0x1000, 3), KILL);
        assert_eq!(protect(0x8000_0000, 0x1000, 3), KILL);
        assert_eq!(protect(0x1_8000_0000, 0xc000_0000, 1), ALLOW);
        assert_eq!(protect(0x1_8000_0000, 0xc000_1000, 1), KILL);
        for access in [4, 5, 7, 0x0100_0000, 1 << 33] {
            assert_eq!(protect(0x1_8000_0000, 0x1000, access), KILL, "{access:#x}");
        }
        assert_eq!(verdict(false, number::MADVISE, SITE, [0x1_8000_0000, 0x1000, 4]), ALLOW);
        assert_eq!(verdict(false, number::MADVISE, SITE, [0x1_8000_0000, 0x1000, 14]), KILL);
    }

    #[test]
    fn the_vcpu_may_be_run_and_nothing_else() {
        const VCPU: Option<Vcpu> = Some(Vcpu { descriptor: 7, requests: &[0xae80, 0xae83, 0xae84], timer: 2 });
        let ioctl = |vcpu, descriptor, request| {
            verdict_of(AUDIT_ARCH_X86_64, vcpu, false, number::IOCTL, SITE, [descriptor, request, 0])
        };
        for request in [0xae80, 0xae83, 0xae84] {
            assert_eq!(ioctl(VCPU, 7, request), ALLOW);
            assert_eq!(ioctl(VCPU, 6, request), KILL);
            assert_eq!(ioctl(None, 7, request), KILL);
        }
        for request in [0, 0xae81, 0xae85, 0x4020_ae46, 0x5401] {
            assert_eq!(ioctl(VCPU, 7, request), KILL, "{request:#x}");
        }
        assert_eq!(verdict_of(AUDIT_ARCH_X86_64, VCPU, false, number::SETITIMER, SITE, [2, 0, 0]), ALLOW);
        assert_eq!(verdict_of(AUDIT_ARCH_X86_64, VCPU, false, number::SETITIMER, SITE, [0, 0, 0]), KILL);
        assert_eq!(verdict_of(AUDIT_ARCH_X86_64, VCPU, false, number::WRITE, SITE + 8, [0; 3]), TRAP);
        assert_eq!(verdict(false, number::SETITIMER, SITE, [2, 0, 0]), KILL);
    }
}
