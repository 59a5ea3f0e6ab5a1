//! The console server (see [`abi::console`]): descriptors 0, 1 and 2 of the host behind three queues.
//!
//! Output is written when its queue is kicked, and a slow reader slows the machine down, as a pipe does. A host that
//! cannot write swallows the bytes. Input is read only into buffers that the guest has posted, and only when the host's
//! descriptor has some: the descriptor is shared with other processes, so it must not be made non-blocking.

use crate::system::{self, EPOLL_EDGE, EPOLL_IN, EpollEvent, errno};
use crate::{Nonsense, Ram, Served, What};
use abi::console::{QUEUE_ERROR, QUEUE_INPUT, QUEUE_OUTPUT};
use abi::ring::{Chain, Device};

/// A retry after this many ns where the host's descriptor is non-blocking and full.
const FULL_RETRY_NS: u64 = 1_000_000;

/// The state of a console.
#[derive(Debug)]
pub struct Console {
    queues: [Device; 3],
    ram: Ram,
    /// An epoll set that holds standard input alone: asking it never blocks.
    input_set: i32,
    input: Input,
    /// An input buffer that waits for bytes.
    waiting: Option<Chain>,
    has_written: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// There may be bytes.
    Ready,
    /// Wait for the event.
    Empty,
    /// Always readable: a file.
    File,
    /// The end was passed on.
    Ended,
}

impl Console {
    /// Serves `queues`. `input_set` is an empty epoll set for this console alone, `events` the machine's own, to which
    /// standard input is added with `token`. Makes its `epoll_ctl` calls here and none later.
    pub fn new(queues: [Device; 3], ram: Ram, input_set: i32, events: i32, token: u64) -> Self {
        let watched = system::epoll_add(events, 0, EPOLL_IN | EPOLL_EDGE, token) == 0
            && system::epoll_add(input_set, 0, EPOLL_IN, 0) == 0;
        // What epoll refuses (EPERM) never blocks; what is no descriptor at all gives EBADF, and that is the end.
        let input = if watched { Input::Empty } else { Input::File };
        Self { queues, ram, input_set, input, waiting: None, has_written: false }
    }

    /// Serves one queue; an unknown number is ignored.
    ///
    /// # Errors
    /// [`Nonsense`] ends the machine.
    pub fn kick(&mut self, queue: usize) -> Result<Served, Nonsense> {
        let (name, result) = match queue {
            QUEUE_INPUT => ("input", self.serve_input()),
            QUEUE_OUTPUT => ("output", self.serve_output(QUEUE_OUTPUT, 1)),
            QUEUE_ERROR => ("error", self.serve_output(QUEUE_ERROR, 2)),
            _ => return Ok(Served::default()),
        };
        result.map_err(|what| Nonsense { device: "console", queue: name, what })
    }

    /// Serves all queues.
    ///
    /// # Errors
    /// [`Nonsense`] ends the machine.
    pub fn serve(&mut self) -> Result<Served, Nonsense> {
        Ok(self.kick(QUEUE_OUTPUT)?.and(self.kick(QUEUE_ERROR)?).and(self.kick(QUEUE_INPUT)?))
    }

    /// Has something come out?
    pub fn has_written(&self) -> bool {
        self.has_written
    }

    /// The event of standard input came.
    pub fn input_event(&mut self) {
        if self.input == Input::Empty {
            self.input = Input::Ready;
        }
    }

    fn serve_output(&mut self, queue: usize, descriptor: i32) -> Result<Served, What> {
        while let Some(chain) = self.queues[queue].take()? {
            for buffer in chain.readable() {
                let from = self.ram.buffer(buffer)?;
                self.has_written = true;
                write_all(self.input_set, descriptor, from, buffer.length as usize);
            }
            self.queues[queue].complete(chain.head(), 0);
        }
        Ok(Served::publish(&mut self.queues[queue]))
    }

    fn serve_input(&mut self) -> Result<Served, What> {
        while matches!(self.input, Input::Ready | Input::File) {
            let Some(chain) = self.next_input()? else { break };
            let buffer = chain.writable().first().filter(|b| b.length > 0).ok_or(What::Chain)?;
            let into = self.ram.buffer(buffer)?;
            if self.input == Input::Ready && !self.input_waits() {
                self.input = Input::Empty;
                self.waiting = Some(chain);
                break;
            }
            // SAFETY: `buffer` bounds the bytes to guest memory.
            let got = unsafe { system::read(0, into, buffer.length as usize) };
            if got == -(errno::EINTR as isize) || got == -(errno::EAGAIN as isize) {
                self.waiting = Some(chain);
                break;
            }
            if got <= 0 {
                self.input = Input::Ended;
            }
            self.queues[QUEUE_INPUT].complete(chain.head(), got.max(0) as u32);
        }
        Ok(Served::publish(&mut self.queues[QUEUE_INPUT]))
    }

    fn next_input(&mut self) -> Result<Option<Chain>, What> {
        match self.waiting.take() {
            Some(chain) => Ok(Some(chain)),
            None => Ok(self.queues[QUEUE_INPUT].take()?),
        }
    }

    /// Has standard input bytes, or its end?
    fn input_waits(&self) -> bool {
        system::epoll_wait(self.input_set, &mut [EpollEvent::default()], Some(0)) > 0
    }
}

/// Writes everything, or gives up where nobody can read it. `idle` is an epoll set to sleep on.
fn write_all(idle: i32, descriptor: i32, mut from: *const u8, mut length: usize) {
    while length > 0 {
        let put = system::write(descriptor, from, length);
        if put > 0 {
            from = from.wrapping_add(put as usize);
            length -= (put as usize).min(length);
        } else if put == -(errno::EAGAIN as isize) {
            // Somebody made it non-blocking. A short sleep will do: this set may hold standard input, which then ends it.
            system::epoll_wait(idle, &mut [EpollEvent::default()], Some(FULL_RETRY_NS));
        } else if put != -(errno::EINTR as isize) {
            return;
        }
    }
}
