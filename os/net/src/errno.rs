//! The Linux errno values that a stack answers with (asm-generic/errno.h), as [`device::Error`]s.

use device::Error;

pub(crate) const EBADF: Error = Error::Errno(9);
pub(crate) const EACCES: Error = Error::Errno(13);
pub(crate) const EINVAL: Error = Error::Errno(22);
pub(crate) const EPIPE: Error = Error::Errno(32);
pub(crate) const EDESTADDRREQ: Error = Error::Errno(89);
pub(crate) const EMSGSIZE: Error = Error::Errno(90);
pub(crate) const ENOPROTOOPT: Error = Error::Errno(92);
pub(crate) const EOPNOTSUPP: Error = Error::Errno(95);
pub(crate) const EAFNOSUPPORT: Error = Error::Errno(97);
pub(crate) const EADDRINUSE: Error = Error::Errno(98);
pub(crate) const EADDRNOTAVAIL: Error = Error::Errno(99);
pub(crate) const ENETUNREACH: Error = Error::Errno(101);
pub(crate) const ENOBUFS: Error = Error::Errno(105);
pub(crate) const EISCONN: Error = Error::Errno(106);
pub(crate) const ENOTCONN: Error = Error::Errno(107);
pub(crate) const EALREADY: Error = Error::Errno(114);

/// Nobody receives there any more.
pub(crate) const PIPE: i32 = 32;
/// A reset by the peer.
pub(crate) const ECONNRESET: i32 = 104;
/// Nobody answered.
pub(crate) const ETIMEDOUT: i32 = 110;
/// Nobody listens there.
pub(crate) const ECONNREFUSED: i32 = 111;
/// There is no way to the host.
pub(crate) const EHOSTUNREACH: i32 = 113;
/// There is no way to its network.
pub(crate) const ENETUNREACH_NUMBER: i32 = 101;
