//! Linux's error numbers (`errno(3)`): what every service here fails with, and what the C doors hand on.
//!
//! They are numbers and not an enum, because a stack or the far side may send one that is not listed here.

/// An error number, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What the services return.
pub type Result<T> = core::result::Result<T, Errno>;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Errno { $($(#[$doc])* pub const $name: Errno = Errno($number);)* }
    };
}

numbers! {
    /// operation not permitted
    PERM = 1;
    /// no such file or directory
    NOENT = 2;
    /// no such process
    SRCH = 3;
    /// interrupted by a signal
    INTR = 4;
    /// no such device or address
    NXIO = 6;
    /// bad file descriptor
    BADF = 9;
    /// no child processes
    CHILD = 10;
    /// would block; try again
    AGAIN = 11;
    /// out of memory
    NOMEM = 12;
    /// permission denied, here mostly: the manifest does not allow it
    ACCES = 13;
    /// bad address
    FAULT = 14;
    /// file exists
    EXIST = 17;
    /// the two names are on different file systems
    XDEV = 18;
    /// no such device, or one that cannot be mapped
    NODEV = 19;
    /// not a directory
    NOTDIR = 20;
    /// is a directory
    ISDIR = 21;
    /// invalid argument
    INVAL = 22;
    /// too many open files
    MFILE = 24;
    /// not a terminal, or a wrong ioctl for this file
    NOTTY = 25;
    /// no space left
    NOSPC = 28;
    /// not seekable
    SPIPE = 29;
    /// read-only file system
    ROFS = 30;
    /// nobody reads the other end
    PIPE = 32;
    /// result out of range
    RANGE = 34;
    /// file name too long
    NAMETOOLONG = 36;
    /// function not implemented
    NOSYS = 38;
    /// too many levels of symbolic links, or epoll descriptors that watch each other in a circle
    LOOP = 40;
    /// value too large
    OVERFLOW = 75;
    /// not a socket
    NOTSOCK = 88;
    /// destination address required
    DESTADDRREQ = 89;
    /// message too long
    MSGSIZE = 90;
    /// protocol wrong for this socket
    PROTOTYPE = 91;
    /// no such socket option
    NOPROTOOPT = 92;
    /// protocol not supported
    PROTONOSUPPORT = 93;
    /// socket type not supported
    SOCKTNOSUPPORT = 94;
    /// operation not supported by this socket
    OPNOTSUPP = 95;
    /// address family not supported
    AFNOSUPPORT = 97;
    /// address in use
    ADDRINUSE = 98;
    /// address not available
    ADDRNOTAVAIL = 99;
    /// network unreachable
    NETUNREACH = 101;
    /// connection reset by peer
    CONNRESET = 104;
    /// no buffer space
    NOBUFS = 105;
    /// already connected
    ISCONN = 106;
    /// not connected
    NOTCONN = 107;
    /// timed out
    TIMEDOUT = 110;
    /// connection refused
    CONNREFUSED = 111;
    /// a connect is already under way
    ALREADY = 114;
    /// a connect has started
    INPROGRESS = 115;
}

impl From<device::Error> for Errno {
    fn from(error: device::Error) -> Errno {
        match error {
            device::Error::WouldBlock => Errno::AGAIN,
            device::Error::InProgress => Errno::INPROGRESS,
            device::Error::Errno(number) => Errno(number),
        }
    }
}
