//! Arguments and results, as text: after strace, whose readers know it.
//!
//! What a call writes is shown once it has succeeded, and as its address otherwise; of what it reads nothing is followed
//! after `EFAULT`.

mod errors;
mod files;
mod memory;
mod sockets;
mod times;
mod waits;
mod words;

use crate::line::Line;
use abi::trace::{Argument, Call, Gives};
use core::fmt::Write as _;

/// How many bytes of a buffer are shown, and of a string.
const SHOWN: usize = 32;
const TEXT_SHOWN: usize = 256;
/// How many elements of a list are shown.
const LIST_SHOWN: usize = 16;
const EFAULT: i32 = 14;

/// What a call came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    gives: Gives,
    value: i64,
    /// The error, if it failed.
    errno: Option<i32>,
}

impl Outcome {
    /// Of a C function that gives `result` back and leaves `errno`.
    pub(crate) fn of(gives: Gives, result: usize, errno: i32) -> Self {
        let (long, int) = (result as i64, i64::from(result as i32));
        let (value, failed) = match gives {
            Gives::Int => (int, int == -1),
            Gives::Long | Gives::Handler => (long, long == -1),
            Gives::Pointer => (long, long == -1 || long == 0),
            Gives::Code | Gives::Lookup | Gives::Number => (int, false),
            Gives::Count | Gives::Found => (long, false),
            Gives::Nothing | Gives::Never => (0, false),
        };
        let code = (gives == Gives::Code && value != 0).then_some(int as i32);
        Self { gives, value, errno: code.or(failed.then_some(errno)) }
    }

    /// Of a system call, which gives a negated error back.
    pub(crate) fn of_raw(gives: Gives, result: i64) -> Self {
        match result {
            -4095..0 => Self { gives, value: -1, errno: Some(-result as i32) },
            _ => Self { gives, value: result, errno: None },
        }
    }

    /// Has it succeeded? A look-up's error is none of `errno`'s.
    fn is_success(&self) -> bool {
        self.errno.is_none() && !(self.gives == Gives::Lookup && self.value != 0)
    }
}

/// A call's arguments, between the parentheses. `None`: it has not ended.
pub(crate) fn arguments(line: &mut Line, call: &Call, words: &[usize; 7], outcome: Option<&Outcome>) {
    let count = call.arguments.len();
    for (at, argument) in call.arguments.iter().take(shown(call, words, count)).enumerate() {
        if at > 0 {
            let _ = line.write_str(", ");
        }
        one(line, *argument, at, words, outcome);
    }
}

/// How many arguments are there: what a mode or a third word of `fcntl` would be may not have been given at all.
fn shown(call: &Call, words: &[usize; 7], count: usize) -> usize {
    const CREATES: usize = 0o100 | 0o20_000_000;
    match call.arguments {
        [.., Argument::Flags(abi::trace::Words::Open), Argument::Octal] if words[count - 2] & CREATES == 0 => count - 1,
        [_, Argument::Name(abi::trace::Words::Command), _] if !words::takes_argument(words[1]) => 2,
        [Argument::Pointer, Argument::Flags(abi::trace::Words::Futex), ..] => words::futex_arguments(words[1]),
        _ => count,
    }
}

fn one(line: &mut Line, argument: Argument, at: usize, words: &[usize; 7], outcome: Option<&Outcome>) {
    use Argument::*;
    let word = words[at];
    let done = outcome.filter(|outcome| outcome.is_success());
    // What was written, and what is not looked at.
    let is_written = matches!(
        argument,
        Room | TextRoom
            | AddressRoom(_)
            | ValueRoom(_)
            | At
            | PiecesRoom(_)
            | MessageRoom
            | Events
            | Pair
            | TimeRoom
            | Stat
            | Statx
    );
    let is_refused = outcome.is_some_and(|outcome| outcome.errno == Some(EFAULT));
    if is_written && done.is_none() || is_refused && is_followed(argument) {
        return pointer(line, word);
    }
    let value = done.map_or(0, |outcome| usize::try_from(outcome.value).unwrap_or(0));
    let _ = match argument {
        Int => write!(line, "{}", word as i32),
        Unsigned => write!(line, "{}", word as u32),
        Long => write!(line, "{}", word as i64),
        Size => write!(line, "{word}"),
        Octal => return octal(line, word as u32),
        Pointer => return pointer(line, word),
        Directory if word as i32 == -100 => line.write_str("AT_FDCWD"),
        Directory => write!(line, "{}", word as i32),
        Text => return memory::text(line, word),
        TextRoom => return memory::text(line, word),
        Bytes(length) => return memory::bytes(line, word, words[length]),
        Room => return memory::bytes(line, word, value),
        Flags(names) => return words::flags(line, names, word as u32),
        Name(names) => return words::name(line, names, word),
        Address(length) => return sockets::address(line, word, words[length] as u32 as usize),
        AddressRoom(length) => return sockets::address_room(line, word, words[length]),
        Value(length) => return sockets::value(line, word, words[length] as u32 as usize),
        ValueRoom(length) => return sockets::value_room(line, word, words[length]),
        Option(level) => return words::option(line, words[level], word),
        At => return memory::int_at(line, word),
        Pieces(count) => return memory::pieces(line, word, words[count] as u32 as usize, usize::MAX),
        PiecesRoom(count) => return memory::pieces(line, word, words[count] as u32 as usize, value),
        Message => return sockets::message(line, word, usize::MAX),
        MessageRoom => return sockets::message(line, word, value),
        Polled(count) => return waits::polled(line, word, words[count], done.is_some()),
        Event => return waits::event_at(line, word),
        Events => return waits::events(line, word, value),
        Pair => return memory::pair(line, word),
        Time | TimeRoom => return times::time(line, word),
        Timer => return times::timer(line, word),
        Stat => return files::stat(line, word),
        Statx => return files::statx(line, word),
        Signal => return words::signal(line, word as i32),
        Handler => return words::handler(line, word),
        Signals => return words::signals(line, word),
        Control(command) => return words::control(line, words[command], word),
        FutexTime(operation) if words::futex_waits(words[operation]) => return times::time(line, word),
        FutexTime(_) => write!(line, "{}", word as u32),
    };
}

/// Is the argument an address that is followed?
fn is_followed(argument: Argument) -> bool {
    use Argument::*;
    matches!(
        argument,
        Text | Bytes(_) | Address(_) | Value(_) | Pieces(_) | Message | Polled(_) | Event | Time | Timer | Signals
    )
}

/// A signal's name.
pub(crate) fn signal(line: &mut Line, number: u32) {
    words::signal(line, number as i32);
}

fn pointer(line: &mut Line, word: usize) {
    let _ = if word == 0 { line.write_str("NULL") } else { write!(line, "{word:#x}") };
}

fn octal(line: &mut Line, word: u32) {
    let _ = if word == 0 { line.write_str("000") } else { write!(line, "0{word:o}") };
}

/// What stands behind the `=`.
pub(crate) fn outcome(line: &mut Line, outcome: &Outcome) {
    let _ = match outcome.gives {
        Gives::Nothing | Gives::Never => line.write_str("?"),
        Gives::Pointer if outcome.errno.is_some() && outcome.value == 0 => line.write_str("NULL"),
        Gives::Pointer if outcome.errno.is_none() => return pointer(line, outcome.value as usize),
        Gives::Handler if outcome.errno.is_none() => return words::handler(line, outcome.value as usize),
        Gives::Found => return pointer(line, outcome.value as usize),
        Gives::Lookup if outcome.value != 0 => return errors::lookup(line, outcome.value),
        _ => write!(line, "{}", outcome.value),
    };
    if let Some(errno) = outcome.errno {
        errors::errno(line, errno);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::trace::CALLS;

    fn shown(symbol: &str, words: &[usize], result: usize, errno: i32) -> String {
        let call = CALLS.iter().find(|call| call.symbol == symbol).expect("a call");
        let mut all = [0; 7];
        all[..words.len()].copy_from_slice(words);
        let (mut line, result) = (Line::EMPTY, Outcome::of(call.gives, result, errno));
        arguments(&mut line, call, &all, Some(&result));
        let _ = line.write_str(") = ");
        outcome(&mut line, &result);
        format!("{}({}", call.name, String::from_utf8_lossy(line.as_bytes()))
    }

    const FAILED: usize = usize::MAX;

    #[test]
    fn files() {
        let (path, buffer) = (c"/etc/motd".as_ptr() as usize, b"hello\n".as_ptr() as usize);
        let here = -100_i64 as usize;
        assert_eq!(
            shown("openat64", &[here, path, 0o2000000, 0], 3, 0),
            "openat(AT_FDCWD, \"/etc/motd\", O_RDONLY|O_CLOEXEC) = 3"
        );
        assert_eq!(
            shown("open", &[path, 0o101, 0o644], FAILED, 2),
            "open(\"/etc/motd\", O_WRONLY|O_CREAT, 0644) = -1 ENOENT (No such file or directory)"
        );
        assert_eq!(shown("write", &[1, buffer, 6], 6, 0), "write(1, \"hello\\n\", 6) = 6");
        assert_eq!(shown("read", &[0, buffer, 100], 5, 0), "read(0, \"hello\", 100) = 5");
        let failed = shown("read", &[9, buffer, 100], FAILED, 9);
        assert_eq!(failed, format!("read(9, {buffer:#x}, 100) = -1 EBADF (Bad file descriptor)"));
        assert_eq!(shown("write", &[1, 16, 6], FAILED, 14), "write(1, 0x10, 6) = -1 EFAULT (Bad address)");
        assert_eq!(shown("lseek", &[3, -4_i64 as usize, 2], 8, 0), "lseek(3, -4, SEEK_END) = 8");
        assert_eq!(shown("fcntl", &[3, 1, 77], 1, 0), "fcntl(3, F_GETFD) = 1");
        assert_eq!(shown("fcntl", &[3, 4, 0o4000], 0, 0), "fcntl(3, F_SETFL, O_RDONLY|O_NONBLOCK) = 0");
    }

    #[test]
    fn sockets() {
        let here = [2_u8, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let at = here.as_ptr() as usize;
        assert_eq!(
            shown("socket", &[2, 0o2000001, 6], 3, 0),
            "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3"
        );
        assert_eq!(
            shown("bind", &[3, at, 16], 0, 0),
            "bind(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0"
        );
        let (one, length) = (1_i32, 16_u32);
        assert_eq!(
            shown("setsockopt", &[3, 1, 2, &raw const one as usize, 4], 0, 0),
            "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0"
        );
        assert_eq!(
            shown("accept4", &[3, at, &raw const length as usize, 0o2000000], 4, 0),
            "accept4(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr(\"127.0.0.1\")}, [16], SOCK_CLOEXEC) = 4"
        );
    }

    #[test]
    fn waits_and_times() {
        let time = [1_i64, 500_000_000];
        let event = [1_u32, 7, 0];
        assert_eq!(
            shown("epoll_ctl", &[3, 1, 4, event.as_ptr() as usize], 0, 0),
            "epoll_ctl(3, EPOLL_CTL_ADD, 4, {events=EPOLLIN, data=0x7}) = 0"
        );
        let events = event.as_ptr() as usize;
        assert_eq!(
            shown("epoll_wait", &[3, events, 8, -1_i64 as usize], 1, 0),
            "epoll_wait(3, [{events=EPOLLIN, data=0x7}], 8, -1) = 1"
        );
        assert_eq!(
            shown("nanosleep", &[time.as_ptr() as usize, 0], 0, 0),
            "nanosleep({tv_sec=1, tv_nsec=500000000}, NULL) = 0"
        );
        assert_eq!(
            shown("futex", &[4096, 128, 1, time.as_ptr() as usize], FAILED, 110),
            "futex(0x1000, FUTEX_WAIT_PRIVATE, 1, {tv_sec=1, tv_nsec=500000000}) = -1 ETIMEDOUT (Connection timed out)"
        );
        assert_eq!(shown("futex", &[4096, 129, 1, 5], 0, 0), "futex(0x1000, FUTEX_WAKE_PRIVATE, 1) = 0");
    }

    #[test]
    fn results_of_other_kinds() {
        assert_eq!(shown("malloc", &[8], 0, 12), "malloc(8) = NULL ENOMEM (Cannot allocate memory)");
        assert_eq!(shown("free", &[4096], 1, 12), "free(0x1000) = ?");
        assert_eq!(
            shown("pthread_join", &[4096, 0], 35, 0),
            "pthread_join(0x1000, NULL) = 35 EDEADLK (Resource deadlock avoided)"
        );
        let map = shown("mmap64", &[0, 4096, 3, 0x22, FAILED, 0], FAILED, 12);
        assert_eq!(
            map,
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM (Cannot allocate memory)"
        );
    }
}
