//! The connection to gdb, byte by byte as the stub wants it, and in one piece as the kernel does.

use crate::machine::tender::{DEBUGGER, DEBUGGER_SET};
use gdbstub::conn::{Connection, ConnectionExt};
use host_device::system::{self, EpollEvent, errno};

/// Bytes in either direction that wait.
const ROOM: usize = 1024;

/// gdb has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// The connection.
#[derive(Debug)]
pub(super) struct Line {
    input: [u8; ROOM],
    /// Of `input`: what has come and not been taken.
    waiting: std::ops::Range<usize>,
    output: [u8; ROOM],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { input: [0; ROOM], waiting: 0..0, output: [0; ROOM], length: 0 }
    }
}

/// Has gdb said something, or gone? What a [`Line`] has taken already does not count: a packet is taken whole.
pub(super) fn is_readable() -> bool {
    system::epoll_wait(DEBUGGER_SET, &mut [EpollEvent::default()], Some(0)) > 0
}

impl Connection for Line {
    type Error = Gone;

    fn write(&mut self, byte: u8) -> Result<(), Gone> {
        if self.length == ROOM {
            self.flush()?;
        }
        self.output[self.length] = byte;
        self.length += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let mut rest = &self.output[..self.length];
        while !rest.is_empty() {
            match system::write(DEBUGGER, rest.as_ptr(), rest.len()) {
                put if put > 0 => rest = rest.get(put as usize..).unwrap_or_default(),
                put if put == -(errno::EINTR as isize) => {}
                _ => return Err(Gone),
            }
        }
        self.length = 0;
        Ok(())
    }
}

impl ConnectionExt for Line {
    fn read(&mut self) -> Result<u8, Gone> {
        while self.waiting.is_empty() {
            // SAFETY: the buffer is ours.
            let got = unsafe { system::read(DEBUGGER, self.input.as_mut_ptr(), ROOM) };
            match got {
                1.. => self.waiting = 0..(got as usize).min(ROOM),
                _ if got == -(errno::EINTR as isize) => {}
                _ => return Err(Gone),
            }
        }
        let at = self.waiting.next().ok_or(Gone)?;
        Ok(self.input[at])
    }

    fn peek(&mut self) -> Result<Option<u8>, Gone> {
        if self.waiting.is_empty() && !is_readable() {
            return Ok(None);
        }
        let byte = self.read()?;
        self.waiting.start -= 1;
        Ok(Some(byte))
    }
}

impl Line {
    /// Has something come that was not taken?
    pub(super) fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }
}
