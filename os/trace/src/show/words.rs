//! Flags and other values that have names (Linux's, on x86-64).

use super::pointer;
use crate::line::Line;
use crate::peek;
use abi::trace::Words;
use core::fmt::Write as _;

/// Values and their names.
type Names = &'static [(u32, &'static str)];

/// Flags of [`poll`](super::waits).
pub(super) const POLL: Names = &[
    (1, "POLLIN"),
    (2, "POLLPRI"),
    (4, "POLLOUT"),
    (8, "POLLERR"),
    (16, "POLLHUP"),
    (32, "POLLNVAL"),
    (0x2000, "POLLRDHUP"),
];
/// Flags of epoll's events.
pub(super) const EPOLL: Names = &[
    (1, "EPOLLIN"),
    (2, "EPOLLPRI"),
    (4, "EPOLLOUT"),
    (8, "EPOLLERR"),
    (16, "EPOLLHUP"),
    (0x2000, "EPOLLRDHUP"),
    (1 << 28, "EPOLLEXCLUSIVE"),
    (1 << 29, "EPOLLWAKEUP"),
    (1 << 30, "EPOLLONESHOT"),
    (1 << 31, "EPOLLET"),
];
const OPEN: Names = &[
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o4010000, "O_SYNC"),
    (0o10000, "O_DSYNC"),
    (0o40000, "O_DIRECT"),
    (0o20200000, "O_TMPFILE"),
    (0o200000, "O_DIRECTORY"),
    (0o400000, "O_NOFOLLOW"),
    (0o1000000, "O_NOATIME"),
    (0o2000000, "O_CLOEXEC"),
    (0o10000000, "O_PATH"),
];
const SOCKET_KINDS: Names =
    &[(1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (5, "SOCK_SEQPACKET"), (10, "SOCK_PACKET")];
const SIGNALS: [&str; 32] = [
    "0",
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];
const CLOCKS: [&str; 8] = [
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
];

fn names(words: Words) -> Names {
    match words {
        Words::Open => OPEN,
        Words::At => &[
            (0x100, "AT_SYMLINK_NOFOLLOW"),
            (0x200, "AT_REMOVEDIR"),
            (0x400, "AT_SYMLINK_FOLLOW"),
            (0x800, "AT_NO_AUTOMOUNT"),
            (0x1000, "AT_EMPTY_PATH"),
        ],
        Words::Access => &[(4, "R_OK"), (2, "W_OK"), (1, "X_OK")],
        Words::Whence => &[(0, "SEEK_SET"), (1, "SEEK_CUR"), (2, "SEEK_END"), (3, "SEEK_DATA"), (4, "SEEK_HOLE")],
        Words::Command => &[
            (0, "F_DUPFD"),
            (1, "F_GETFD"),
            (2, "F_SETFD"),
            (3, "F_GETFL"),
            (4, "F_SETFL"),
            (5, "F_GETLK"),
            (6, "F_SETLK"),
            (7, "F_SETLKW"),
            (1030, "F_DUPFD_CLOEXEC"),
            (1031, "F_SETPIPE_SZ"),
            (1032, "F_GETPIPE_SZ"),
        ],
        Words::Request => &[
            (0x5401, "TCGETS"),
            (0x5413, "TIOCGWINSZ"),
            (0x5421, "FIONBIO"),
            (0x541b, "FIONREAD"),
            (0x5450, "FIONCLEX"),
            (0x5451, "FIOCLEX"),
        ],
        Words::EpollOperation => &[(1, "EPOLL_CTL_ADD"), (2, "EPOLL_CTL_DEL"), (3, "EPOLL_CTL_MOD")],
        Words::EpollCreate => &[(0o2000000, "EPOLL_CLOEXEC")],
        Words::EventDescriptor => &[(1, "EFD_SEMAPHORE"), (0o2000000, "EFD_CLOEXEC"), (0o4000, "EFD_NONBLOCK")],
        Words::TimerDescriptor => &[(0o2000000, "TFD_CLOEXEC"), (0o4000, "TFD_NONBLOCK")],
        Words::PipeFlags => &[(0o4000, "O_NONBLOCK"), (0o40000, "O_DIRECT"), (0o2000000, "O_CLOEXEC")],
        Words::Domain => &[(0, "AF_UNSPEC"), (1, "AF_UNIX"), (2, "AF_INET"), (10, "AF_INET6"), (16, "AF_NETLINK")],
        Words::SocketKind => &[(0o2000000, "SOCK_CLOEXEC"), (0o4000, "SOCK_NONBLOCK")],
        Words::Protocol => &[
            (0, "IPPROTO_IP"),
            (1, "IPPROTO_ICMP"),
            (6, "IPPROTO_TCP"),
            (17, "IPPROTO_UDP"),
            (41, "IPPROTO_IPV6"),
            (58, "IPPROTO_ICMPV6"),
        ],
        Words::Level => &[(0, "SOL_IP"), (1, "SOL_SOCKET"), (6, "SOL_TCP"), (17, "SOL_UDP"), (41, "SOL_IPV6")],
        Words::Message => &[
            (1, "MSG_OOB"),
            (2, "MSG_PEEK"),
            (4, "MSG_DONTROUTE"),
            (8, "MSG_CTRUNC"),
            (0x20, "MSG_TRUNC"),
            (0x40, "MSG_DONTWAIT"),
            (0x80, "MSG_EOR"),
            (0x100, "MSG_WAITALL"),
            (0x2000, "MSG_ERRQUEUE"),
            (0x4000, "MSG_NOSIGNAL"),
            (0x8000, "MSG_MORE"),
            (0x10000, "MSG_WAITFORONE"),
            (0x20000000, "MSG_FASTOPEN"),
            (0x40000000, "MSG_CMSG_CLOEXEC"),
        ],
        Words::How => &[(0, "SHUT_RD"), (1, "SHUT_WR"), (2, "SHUT_RDWR")],
        Words::Protection => &[(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC")],
        Words::Mapping => &[
            (1, "MAP_SHARED"),
            (2, "MAP_PRIVATE"),
            (0x10, "MAP_FIXED"),
            (0x20, "MAP_ANONYMOUS"),
            (0x100, "MAP_GROWSDOWN"),
            (0x4000, "MAP_NORESERVE"),
            (0x8000, "MAP_POPULATE"),
            (0x20000, "MAP_STACK"),
            (0x40000, "MAP_HUGETLB"),
            (0x100000, "MAP_FIXED_NOREPLACE"),
        ],
        Words::Remap => &[(1, "MREMAP_MAYMOVE"), (2, "MREMAP_FIXED"), (4, "MREMAP_DONTUNMAP")],
        Words::Advice => &[
            (0, "MADV_NORMAL"),
            (1, "MADV_RANDOM"),
            (2, "MADV_SEQUENTIAL"),
            (3, "MADV_WILLNEED"),
            (4, "MADV_DONTNEED"),
            (8, "MADV_FREE"),
            (14, "MADV_HUGEPAGE"),
            (15, "MADV_NOHUGEPAGE"),
            (16, "MADV_DONTDUMP"),
        ],
        Words::ClockFlags => &[(1, "TIMER_ABSTIME"), (2, "TFD_TIMER_CANCEL_ON_SET")],
        Words::Mask => &[(0x1000, "STATX_MNT_ID")],
        Words::MaskChange => &[(0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK")],
        Words::FileLock => &[(1, "LOCK_SH"), (2, "LOCK_EX"), (8, "LOCK_UN"), (4, "LOCK_NB")],
        Words::Fallocate => &[(1, "FALLOC_FL_KEEP_SIZE"), (2, "FALLOC_FL_PUNCH_HOLE"), (0x10, "FALLOC_FL_ZERO_RANGE")],
        Words::Limit => &[
            (0, "RLIMIT_CPU"),
            (1, "RLIMIT_FSIZE"),
            (2, "RLIMIT_DATA"),
            (3, "RLIMIT_STACK"),
            (4, "RLIMIT_CORE"),
            (7, "RLIMIT_NOFILE"),
            (9, "RLIMIT_AS"),
        ],
        Words::System => &[
            (2, "_SC_CLK_TCK"),
            (4, "_SC_OPEN_MAX"),
            (30, "_SC_PAGESIZE"),
            (60, "_SC_IOV_MAX"),
            (69, "_SC_GETGR_R_SIZE_MAX"),
            (70, "_SC_GETPW_R_SIZE_MAX"),
            (83, "_SC_NPROCESSORS_CONF"),
            (84, "_SC_NPROCESSORS_ONLN"),
            (85, "_SC_PHYS_PAGES"),
            (86, "_SC_AVPHYS_PAGES"),
            (180, "_SC_HOST_NAME_MAX"),
        ],
        Words::Random => &[(1, "GRND_NONBLOCK"), (2, "GRND_RANDOM"), (4, "GRND_INSECURE")],
        // By functions of their own.
        Words::Clock | Words::Futex => &[],
    }
}

/// The names of a word's bits, with `|` between them. What has none is a number at the end.
pub(super) fn bits(line: &mut Line, names: Names, word: u32) {
    rest(line, names, word, false);
}

fn rest(line: &mut Line, names: Names, mut word: u32, mut is_begun: bool) {
    let bar = |is_begun: bool| if is_begun { "|" } else { "" };
    for (value, name) in names {
        if word & value == *value {
            let _ = write!(line, "{}{name}", bar(is_begun));
            (word, is_begun) = (word & !value, true);
        }
    }
    if word != 0 || !is_begun {
        let _ = match word {
            0 => line.write_str("0"),
            _ => write!(line, "{}{word:#x}", bar(is_begun)),
        };
    }
}

/// Flags of an argument.
pub(super) fn flags(line: &mut Line, words: Words, word: u32) {
    // Some begin with a value that is no bit.
    let (first, left) = match words {
        Words::Open => (["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"].get(word as usize & 3).copied(), word & !3),
        Words::Access if word == 0 => (Some("F_OK"), 0),
        Words::Protection if word == 0 => (Some("PROT_NONE"), 0),
        Words::Mask if word & 0xfff == 0xfff => (Some("STATX_ALL"), word & !0xfff),
        Words::Mask if word & 0x7ff == 0x7ff => (Some("STATX_BASIC_STATS"), word & !0x7ff),
        Words::SocketKind => {
            let kind = SOCKET_KINDS.iter().find(|(value, _)| *value == word & 15);
            (kind.map(|kind| kind.1), if kind.is_some() { word & !15 } else { word })
        }
        Words::Futex => return futex(line, word),
        _ => (None, word),
    };
    let _ = line.write_str(first.unwrap_or(""));
    if first.is_none() || left != 0 {
        rest(line, names(words), left, first.is_some());
    }
}

/// One of several values.
pub(super) fn name(line: &mut Line, words: Words, word: usize) {
    let value = word as u32;
    let found = match words {
        Words::Clock => CLOCKS.get(value as usize).copied(),
        _ => names(words).iter().find(|(other, _)| *other == value).map(|found| found.1),
    };
    let _ = match found {
        Some(name) => line.write_str(name),
        None if words == Words::Request => write!(line, "{value:#x}"),
        None => write!(line, "{}", value as i32),
    };
}

const FUTEX: [&str; 14] = [
    "FUTEX_WAIT",
    "FUTEX_WAKE",
    "FUTEX_FD",
    "FUTEX_REQUEUE",
    "FUTEX_CMP_REQUEUE",
    "FUTEX_WAKE_OP",
    "FUTEX_LOCK_PI",
    "FUTEX_UNLOCK_PI",
    "FUTEX_TRYLOCK_PI",
    "FUTEX_WAIT_BITSET",
    "FUTEX_WAKE_BITSET",
    "FUTEX_WAIT_REQUEUE_PI",
    "FUTEX_CMP_REQUEUE_PI",
    "FUTEX_LOCK_PI2",
];

fn futex(line: &mut Line, word: u32) {
    let _ = match FUTEX.get(word as usize & 127) {
        Some(name) => line.write_str(name),
        None => write!(line, "{}", word & 127),
    };
    let _ = line.write_str(if word & 128 != 0 { "_PRIVATE" } else { "" });
    let _ = line.write_str(if word & 256 != 0 { "|FUTEX_CLOCK_REALTIME" } else { "" });
}

/// Does this operation of a futex wait, so that its fourth argument is a time?
pub(super) fn futex_waits(operation: usize) -> bool {
    matches!(operation & 127, 0 | 6 | 9 | 11 | 13)
}

/// How many arguments it takes.
pub(super) fn futex_arguments(operation: usize) -> usize {
    match operation & 127 {
        1 => 3,
        0 => 4,
        _ => 6,
    }
}

/// Does this command of `fcntl` take an argument?
pub(super) fn takes_argument(command: usize) -> bool {
    !matches!(command as u32, 1 | 3 | 1032)
}

/// The argument of this command.
pub(super) fn control(line: &mut Line, command: usize, word: usize) {
    let _ = match command as u32 {
        2 => line.write_str(if word & 1 != 0 { "FD_CLOEXEC" } else { "0" }),
        4 => return flags(line, Words::Open, word as u32),
        5..=7 => return pointer(line, word),
        _ => write!(line, "{}", word as i32),
    };
}

/// An option of a socket.
pub(super) fn option(line: &mut Line, level: usize, word: usize) {
    let names: Names = match level {
        1 => &[
            (2, "SO_REUSEADDR"),
            (3, "SO_TYPE"),
            (4, "SO_ERROR"),
            (6, "SO_BROADCAST"),
            (7, "SO_SNDBUF"),
            (8, "SO_RCVBUF"),
            (9, "SO_KEEPALIVE"),
            (13, "SO_LINGER"),
            (15, "SO_REUSEPORT"),
            (16, "SO_PASSCRED"),
            (17, "SO_PEERCRED"),
            (20, "SO_RCVTIMEO"),
            (21, "SO_SNDTIMEO"),
            (30, "SO_ACCEPTCONN"),
            (38, "SO_PROTOCOL"),
            (39, "SO_DOMAIN"),
        ],
        6 => &[(1, "TCP_NODELAY"), (4, "TCP_KEEPIDLE"), (5, "TCP_KEEPINTVL"), (6, "TCP_KEEPCNT"), (12, "TCP_QUICKACK")],
        0 => &[
            (1, "IP_TOS"),
            (2, "IP_TTL"),
            (33, "IP_MULTICAST_TTL"),
            (34, "IP_MULTICAST_LOOP"),
            (35, "IP_ADD_MEMBERSHIP"),
        ],
        41 => &[(16, "IPV6_UNICAST_HOPS"), (26, "IPV6_V6ONLY"), (67, "IPV6_TCLASS")],
        _ => &[],
    };
    match names.iter().find(|(value, _)| *value == word as u32) {
        Some((_, name)) => _ = line.write_str(name),
        None => _ = write!(line, "{}", word as i32),
    }
}

/// A signal.
pub(super) fn signal(line: &mut Line, number: i32) {
    let _ = match usize::try_from(number).ok().and_then(|number| SIGNALS.get(number)) {
        Some(name) => line.write_str(name),
        None => write!(line, "SIGRT_{}", number - 32),
    };
}

/// What is done about one.
pub(super) fn handler(line: &mut Line, word: usize) {
    match word {
        0 => _ = line.write_str("SIG_DFL"),
        1 => _ = line.write_str("SIG_IGN"),
        _ => pointer(line, word),
    }
}

/// A set of signals.
pub(super) fn signals(line: &mut Line, address: usize) {
    let Some(set) = peek::value::<u64>(address) else { return pointer(line, address) };
    let _ = line.write_str(if set == u64::MAX { "~[" } else { "[" });
    let mut is_begun = false;
    for number in (1..=64).filter(|number| set != u64::MAX && set & 1 << (number - 1) != 0) {
        let _ = line.write_str(if is_begun { " " } else { "" });
        match SIGNALS.get(number).and_then(|name| name.strip_prefix("SIG")) {
            Some(name) => _ = line.write_str(name),
            None => _ = write!(line, "RT_{}", number - 32),
        }
        is_begun = true;
    }
    let _ = line.write_str("]");
}
