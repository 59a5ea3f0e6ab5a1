//! Messages: `sendmsg`, `recvmsg` and their many-at-once kin, with scattered pieces and control messages.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{Piece, bytes, door, gather, give, give_int, pieces, room, scatter, write_pieces};
use super::poll::{Time, deadline_of};
use super::socket::{destination, put_address};
use core::ffi::{c_int, c_uint, c_void};
use device::Ancillary;
use posix::ancillary;
use posix::errno::{Errno, Result};
use posix::file::Open;
use posix::socket::{CONTROL_TRUNCATED, DO_NOT_WAIT, Received, STREAM, TRUNCATED};
use posix::table::table;

/// A scattered receive goes through a buffer of at most this size.
const SCATTER_MAX: usize = 64 << 10;

/// `struct msghdr`.
#[repr(C)]
pub(crate) struct Message {
    name: *mut c_void,
    name_length: c_uint,
    pieces: *mut Piece,
    piece_count: usize,
    control: *mut c_void,
    control_length: usize,
    flags: c_int,
}

/// `struct mmsghdr`.
#[repr(C)]
pub(crate) struct CountedMessage {
    message: Message,
    length: c_uint,
}

/// Receives into scattered room.
///
/// # Safety
/// As for [`room`], for each piece.
pub(crate) unsafe fn receive_pieces(file: &Open, pieces: &[Piece], flags: u32) -> Result<Received> {
    // SAFETY: passed on to the caller.
    unsafe { receive_by(pieces, |room| posix::socket::receive(file, room, flags)) }
}

/// Receives into scattered room with `receive`.
unsafe fn receive_by(pieces: &[Piece], receive: impl FnOnce(&mut [u8]) -> Result<Received>) -> Result<Received> {
    if let [piece] = pieces {
        // SAFETY: passed on to the caller.
        return receive(unsafe { room(piece.base, piece.length) }?);
    }
    let total = pieces.iter().fold(0usize, |sum, p| sum.saturating_add(p.length)).min(SCATTER_MAX);
    let mut buffer = alloc::vec::Vec::new();
    buffer.try_reserve_exact(total).map_err(|_| Errno::NOBUFS)?;
    buffer.resize(total, 0);
    let got = receive(&mut buffer)?;
    // SAFETY: passed on to the caller.
    unsafe { scatter(pieces, &buffer[..got.length]) }?;
    Ok(got)
}

pub(crate) unsafe fn do_recvmsg(fd: c_int, message: *mut Message, flags: c_int) -> Result<i64> {
    let file = table().get(fd)?;
    // SAFETY: the caller's contract: null, or a message of his own.
    let message = unsafe { message.as_mut() }.ok_or(Errno::FAULT)?;
    // SAFETY: the caller's contract.
    let pieces = unsafe { pieces(message.pieces, message.piece_count) }?;
    // SAFETY: the caller's contract.
    let control = unsafe { room(message.control, message.control_length) }?;
    let mut along = Ancillary::default();
    let wants = file.socket()?.wants();
    let told = wants != ancillary::Wants::default();
    // SAFETY: the caller's contract.
    let got = unsafe {
        receive_by(pieces, |room| {
            if !told {
                return posix::socket::receive(&file, room, flags as u32);
            }
            let (got, ancillary) = posix::socket::receive_with(&file, room, flags as u32)?;
            along = ancillary;
            Ok(got)
        })
    }?;
    // SAFETY: the caller's contract.
    unsafe { put_address(message.name, &raw mut message.name_length, got.from) }?;
    let (length, cut) = if told { ancillary::write(&along, &wants, control) } else { (0, false) };
    message.control_length = length;
    let truncated = if got.full_length > got.length { TRUNCATED } else { 0 };
    message.flags = (truncated | if cut { CONTROL_TRUNCATED } else { 0 }) as c_int;
    Ok(if flags as u32 & TRUNCATED != 0 { got.full_length } else { got.length } as i64)
}

pub(crate) unsafe fn do_sendmsg(fd: c_int, message: *const Message, flags: c_int) -> Result<i64> {
    let file = table().get(fd)?;
    // SAFETY: the caller's contract: null, or a message of his own.
    let message = unsafe { message.as_ref() }.ok_or(Errno::FAULT)?;
    // SAFETY: the caller's contract.
    let (pieces, to) =
        unsafe { (pieces(message.pieces, message.piece_count)?, destination(message.name, message.name_length)?) };
    if file.socket()?.family_and_type().1 == STREAM {
        let mut send = |part: &[u8]| posix::socket::send(&file, part, to, flags as u32);
        // SAFETY: the caller's contract.
        return unsafe { write_pieces(pieces, &mut send) }.map(|n| n as i64);
    }
    // SAFETY: the caller's contract.
    let along = ancillary::read(unsafe { bytes(message.control, message.control_length) }?)?;
    let send = |datagram: &[u8]| posix::socket::send_with(&file, datagram, to, &along, flags as u32);
    let sent = match pieces {
        // SAFETY: the caller's contract.
        [piece] => send(unsafe { bytes(piece.base, piece.length) }?),
        // SAFETY: the caller's contract.
        pieces => send(&unsafe { gather(pieces) }?),
    };
    sent.map(|n| n as i64)
}

pub(crate) unsafe fn do_sendmmsg(fd: c_int, messages: *mut CountedMessage, count: c_uint, flags: c_int) -> Result<i64> {
    for i in 0..count as usize {
        // SAFETY: the caller's contract: `count` messages of his own.
        let entry = unsafe { messages.wrapping_add(i).as_mut() }.ok_or(Errno::FAULT)?;
        // SAFETY: as above.
        match unsafe { do_sendmsg(fd, &entry.message, flags) } {
            Ok(sent) => entry.length = sent as c_uint,
            Err(error) if i == 0 => return Err(error),
            Err(_) => return Ok(i as i64),
        }
    }
    Ok(count.into())
}

/// The deadline is looked at once, before the first message: later ones never wait.
pub(crate) unsafe fn do_recvmmsg(
    fd: c_int,
    messages: *mut CountedMessage,
    count: c_uint,
    flags: c_int,
    timeout: *const Time,
) -> Result<i64> {
    const WAIT_FOR_ONE: c_int = 0x10000;
    // SAFETY: the caller's contract.
    unsafe { deadline_of(timeout) }?;
    for i in 0..count as usize {
        let more = if i > 0 && flags & WAIT_FOR_ONE != 0 { DO_NOT_WAIT as c_int } else { 0 };
        // SAFETY: the caller's contract: `count` messages of his own.
        let entry = unsafe { messages.wrapping_add(i).as_mut() }.ok_or(Errno::FAULT)?;
        // SAFETY: as above.
        match unsafe { do_recvmsg(fd, &raw mut entry.message, flags & !WAIT_FOR_ONE | more) } {
            Ok(got) => entry.length = got as c_uint,
            Err(error) if i == 0 => return Err(error),
            Err(_) => return Ok(i as i64),
        }
    }
    Ok(count.into())
}

door! {
    /// POSIX `sendmsg`, with control messages of internet datagrams.
    fn sendmsg(fd: c_int, message: *const Message, flags: c_int) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_sendmsg(fd, message, flags) }) as isize
    }

    /// POSIX `recvmsg`, with control messages of internet datagrams.
    fn recvmsg(fd: c_int, message: *mut Message, flags: c_int) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_recvmsg(fd, message, flags) }) as isize
    }

    /// Linux `sendmmsg`.
    fn sendmmsg(fd: c_int, messages: *mut CountedMessage, count: c_uint, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_sendmmsg(fd, messages, count, flags) })
    }

    /// Linux `recvmmsg`.
    fn recvmmsg(
        fd: c_int, messages: *mut CountedMessage, count: c_uint, flags: c_int, timeout: *mut Time,
    ) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_recvmmsg(fd, messages, count, flags, timeout) })
    }
}
