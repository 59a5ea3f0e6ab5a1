//! What `ampoule run --trace` can tell of: the library OS's C functions, with the form of their arguments.
//!
//! One table ([`calls`]) for three readers. The builder of a traced image asks the linker to lead each of these symbols
//! through a function that tells of the call (`--wrap`); the library OS makes these functions and renders the arguments; the
//! tool checks what the operator wants to see. Nothing of it is in an ordinary image.
//!
//! What is wanted reaches the machine as an environment entry, [`VARIABLE`], which the program does not see. What is told
//! leaves it by the gate ([`crate::gate::LogKind::Trace`]), a line a call.

mod calls;
mod filter;

pub use calls::CALLS;
pub use filter::{Filter, UnknownWord};

/// The environment entry that turns a traced image's trace on; its value is a [`Filter`]'s text.
pub const VARIABLE: &str = "AMPOULE_TRACE";

/// Precedes each line of a trace on the serial line, and its newline ends it: ASCII's group separator.
pub const MARK: u8 = 0x1d;

/// What a call has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Names and files: `open`, `stat`, `rename`.
    File,
    /// Descriptors of whatever kind: `read`, `poll`, `epoll_wait`.
    Desc,
    /// Sockets, interfaces and names of hosts.
    Net,
    /// Threads, and the futexes that they wait for.
    Thread,
    /// POSIX's locks, which are called more often than all others. Only where they are asked for.
    Lock,
    /// Mappings: `mmap`, `mprotect`.
    Memory,
    /// `malloc` and its like, which are called as often. Only where they are asked for.
    Heap,
    /// Clocks and sleep.
    Time,
    /// Signals.
    Signal,
    /// The machine as a process: `exit`, `getpid`, `sysconf`, `getrandom`.
    Process,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 10] = {
        use Family::*;
        [File, Desc, Net, Thread, Lock, Memory, Heap, Time, Signal, Process]
    };

    /// Its name, as the operator writes it.
    pub fn name(self) -> &'static str {
        match self {
            Family::File => "file",
            Family::Desc => "desc",
            Family::Net => "net",
            Family::Thread => "thread",
            Family::Lock => "lock",
            Family::Memory => "memory",
            Family::Heap => "heap",
            Family::Time => "time",
            Family::Signal => "signal",
            Family::Process => "process",
        }
    }

    /// Is it shown where nobody says what is to be?
    pub fn by_default(self) -> bool {
        !matches!(self, Family::Lock | Family::Heap)
    }
}

/// A traced call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The symbol.
    pub symbol: &'static str,
    /// What it is shown as: the symbol without what makes its offsets 64 bits wide, which they always are.
    pub name: &'static str,
    /// What it has to do with.
    pub family: Family,
    /// Its arguments, seven at most, all of them integers or pointers.
    pub arguments: &'static [Argument],
    /// What it gives back.
    pub gives: Gives,
    /// The Linux system call of the same arguments, if there is one.
    pub number: Option<u16>,
}

/// How an argument is shown. A number names another argument, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A descriptor, or any other `int`.
    Int,
    /// A directory's descriptor, or `AT_FDCWD`.
    Directory,
    /// An `unsigned int`.
    Unsigned,
    /// A `long` or an `off_t`.
    Long,
    /// A `size_t`.
    Size,
    /// A mode: octal.
    Octal,
    /// An address that is not followed.
    Pointer,
    /// A C string.
    Text,
    /// Bytes that are read; the argument says how many.
    Bytes(usize),
    /// Bytes that were written; the result says how many.
    Room,
    /// A C string that was written.
    TextRoom,
    /// A word of bits that have names.
    Flags(Words),
    /// One of several values that have names.
    Name(Words),
    /// `struct sockaddr`, as long as the argument says.
    Address(usize),
    /// The same, written, with its length at the argument.
    AddressRoom(usize),
    /// The value of a socket's option, as long as the argument says.
    Value(usize),
    /// The same, written, with its length at the argument.
    ValueRoom(usize),
    /// A socket's option, whose level is the argument.
    Option(usize),
    /// An `int` or `socklen_t` at an address, shown after the call.
    At,
    /// As many `struct iovec`s as the argument says, read.
    Pieces(usize),
    /// The same, written.
    PiecesRoom(usize),
    /// `struct msghdr`, read.
    Message,
    /// The same, written.
    MessageRoom,
    /// As many `struct pollfd`s as the argument says.
    Polled(usize),
    /// `struct epoll_event`, read.
    Event,
    /// As many of them as the result says, written.
    Events,
    /// Two `int`s, written.
    Pair,
    /// `struct timespec`, read.
    Time,
    /// The same, written.
    TimeRoom,
    /// `struct itimerspec`, read.
    Timer,
    /// `struct stat`, written.
    Stat,
    /// `struct statx`, written.
    Statx,
    /// A signal.
    Signal,
    /// A signal's handler.
    Handler,
    /// A set of signals, read.
    Signals,
    /// The third argument of `fcntl`, whose command is the argument.
    Control(usize),
    /// The fourth argument of `futex`, whose operation is the argument: a time, or a count.
    FutexTime(usize),
}

/// Which names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after what their values begin with")]
pub enum Words {
    Open,
    At,
    Access,
    Whence,
    Command,
    Request,
    EpollOperation,
    EpollCreate,
    EventDescriptor,
    TimerDescriptor,
    PipeFlags,
    Domain,
    SocketKind,
    Protocol,
    Level,
    Message,
    How,
    Protection,
    Mapping,
    Remap,
    Advice,
    Clock,
    ClockFlags,
    Futex,
    Mask,
    MaskChange,
    FileLock,
    Fallocate,
    Limit,
    System,
    Random,
}

/// How a result is shown, and what says that the call has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// An `int`: -1, and `errno`.
    Int,
    /// A `long`: -1, and `errno`.
    Long,
    /// A pointer: null or `MAP_FAILED`, and `errno`.
    Pointer,
    /// A pointer that may well be null, as a look-up's.
    Found,
    /// A signal's handler: -1, and `errno`.
    Handler,
    /// An error's number, or 0.
    Code,
    /// An error's number of `getaddrinfo`'s, or 0.
    Lookup,
    /// An `int` that says nothing of failure.
    Number,
    /// A `long` that says nothing of failure.
    Count,
    /// Nothing.
    Nothing,
    /// It does not come back.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_is_there_once() {
        let mut symbols: alloc::vec::Vec<&str> = CALLS.iter().map(|call| call.symbol).collect();
        symbols.sort_unstable();
        let count = symbols.len();
        symbols.dedup();
        assert_eq!(symbols.len(), count);
    }

    #[test]
    fn arguments_that_are_named_are_there() {
        use Argument::*;
        for call in CALLS {
            assert!(call.arguments.len() <= 7, "{}", call.symbol);
            for argument in call.arguments {
                let other = match *argument {
                    Bytes(n) | Address(n) | AddressRoom(n) | Value(n) | ValueRoom(n) | Option(n) => n,
                    Pieces(n) | PiecesRoom(n) | Polled(n) | Control(n) | FutexTime(n) => n,
                    _ => continue,
                };
                assert!(other < call.arguments.len(), "{}", call.symbol);
            }
        }
    }

    #[test]
    fn calls_of_one_number_look_alike() {
        for call in CALLS.iter().filter(|call| call.number.is_some()) {
            let first = CALLS.iter().find(|other| other.number == call.number).expect("itself at least");
            assert_eq!((first.name, first.arguments), (call.name, call.arguments));
        }
    }
}
