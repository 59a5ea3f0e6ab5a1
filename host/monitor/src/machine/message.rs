//! What parent and child say to each other over their socket pair (`SOCK_SEQPACKET`: a message arrives whole or not at
//! all).
//!
//! The child is locked down and may be hostile: the parent checks every message, and one that makes no sense is ignored.
//! A message is a [`Head`] and the bytes that belong to it.

/// The most bytes in one message: a datagram of the longest kind and its head.
pub(crate) const MESSAGE_MAX: usize = 66 << 10;

/// What every message begins with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// A [`Kind`] number.
    pub(crate) kind: u32,
    /// The socket, or a look-up's token.
    pub(crate) socket: u32,
    /// `Events`: the bits' upper half. `Request`: the child's descriptor of an accepted socket, or `u32::MAX`.
    pub(crate) value: u32,
    /// `Done`: a negative errno, or 0. `SendTo`: 1 if an answer is wanted.
    pub(crate) status: i32,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To the parent: the machine has ended; why, as text.
    Report = 1,
    /// To the parent: a backtrace's addresses, for it to name and print; the image's base is in `socket` (lower half) and
    /// `value` (upper half). Answered by `Done`.
    Backtrace = 2,
    /// To the parent: an [`abi::hostnet::Request`], and for `Resolve` the name. Answered by `Response`, a look-up too: whether it has
    /// started.
    Request = 3,
    /// To the parent: an [`abi::hostnet::SendHeader`], and the bytes it tells of.
    SendTo = 4,
    /// To the parent: what did the look-up of token `socket` come to? Answered by `Done`: the status, and
    /// [`abi::hostnet::Address`]es.
    TakeLookup = 5,
    /// To the parent: the machine did not start, because KVM cannot be used; why, as text.
    NoKvm = 6,
    /// To the parent: the machine is made, and what follows comes from it.
    Started = 7,
    /// To the child: an [`abi::hostnet::Response`]; a descriptor comes along where the request makes one.
    Response = 16,
    /// To the child: the answer to all others.
    Done = 17,
    /// To the child: bits for the vCPU's events.
    Events = 18,
    /// To the child: the look-up of token `socket` has ended; the child asks for it when it is free to.
    Resolved = 19,
}

impl Kind {
    pub(crate) fn of(number: u32) -> Option<Self> {
        use Kind::*;
        let all = [Report, Backtrace, Request, SendTo, TakeLookup, NoKvm, Started, Response, Done, Events, Resolved];
        all.into_iter().find(|k| *k as u32 == number)
    }
}

impl Head {
    /// Bytes of a head.
    pub(crate) const LENGTH: usize = 16;

    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind: kind as u32, ..Self::default() }
    }

    pub(crate) fn bytes(self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        for (to, word) in
            out.as_chunks_mut::<4>().0.iter_mut().zip([self.kind, self.socket, self.value, self.status as u32])
        {
            *to = word.to_le_bytes();
        }
        out
    }

    /// The head of a message and the rest; `None` if it is too short.
    pub(crate) fn split(message: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = message.split_first_chunk::<{ Self::LENGTH }>()?;
        let word = |i: usize| head.as_chunks::<4>().0.get(i).map_or(0, |w| u32::from_le_bytes(*w));
        Some((Self { kind: word(0), socket: word(1), value: word(2), status: word(3) as i32 }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive() {
        let head = Head { kind: Kind::SendTo as u32, socket: 7, value: 9, status: -13 };
        let bytes = head.bytes();
        assert_eq!(Head::split(&bytes), Some((head, &[][..])));
        assert_eq!(Head::split(&bytes[..15]), None);
        assert_eq!(Kind::of(4), Some(Kind::SendTo));
        assert_eq!(Kind::of(99), None);
    }
}
