//! What a file can be ready for. `poll` and `epoll` share these bits (Linux: `poll.h`, `eventpoll.h`).

/// Something to read, or to accept.
pub const IN: u32 = 0x1;
/// Exceptional data; never set here.
pub const PRI: u32 = 0x2;
/// Room to write.
pub const OUT: u32 = 0x4;
/// An error is pending, or nobody reads the other end. Always reported.
pub const ERR: u32 = 0x8;
/// Both directions are over. Always reported.
pub const HUP: u32 = 0x10;
/// `poll`: this descriptor is not open.
pub const NVAL: u32 = 0x20;
/// As [`IN`].
pub const RDNORM: u32 = 0x40;
/// As [`OUT`].
pub const WRNORM: u32 = 0x100;
/// The peer will send no more.
pub const RDHUP: u32 = 0x2000;

/// `epoll_ctl`: wake one of several watchers. One ready list wakes all of ours, which the contract allows.
pub const EXCLUSIVE: u32 = 1 << 28;
/// `epoll_ctl`: stay awake; without meaning in a machine.
pub const WAKEUP: u32 = 1 << 29;
/// `epoll_ctl`: report once, then stay silent until modified.
pub const ONESHOT: u32 = 1 << 30;
/// `epoll_ctl`: report changes, not states.
pub const EDGE: u32 = 1 << 31;

/// Readable in every word for it.
pub const READABLE: u32 = IN | RDNORM;
/// Writable in every word for it.
pub const WRITABLE: u32 = OUT | WRNORM;

/// A stack's readiness in these bits.
pub fn of(ready: device::Ready) -> u32 {
    use device::Ready;
    let table = [
        (Ready::READ, READABLE),
        (Ready::WRITE, WRITABLE),
        (Ready::READ_END, RDHUP | READABLE),
        (Ready::HANG_UP, HUP),
        (Ready::ERROR, ERR),
    ];
    table.into_iter().filter(|(bit, _)| ready.contains(*bit)).fold(0, |bits, (_, more)| bits | more)
}
