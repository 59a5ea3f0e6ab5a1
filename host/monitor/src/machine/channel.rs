//! The child's end of the socket pair: questions to the parent, and what it says unasked.
//!
//! There is one buffer, for one message at a time. While an answer is waited for, other messages may come; they are small
//! enough to be kept as bits.

use super::message::{Head, Kind, MESSAGE_MAX};
use super::tender::CONTROL;
use abi::hostnet::{Address, Request, Response, SendHeader};
use abi::vcpu::{EVENT_INTERRUPT, EVENT_STOP};
use host_device::hostnet::{Answer, Control};
use host_device::system::{self, EpollEvent, errno};
use host_device::{bytes_of, value_of};

/// The child's end of the socket pair.
#[derive(Debug)]
pub(crate) struct Channel {
    /// [`MESSAGE_MAX`] bytes, mapped at set-up.
    buffer: &'static mut [u8],
    /// An epoll set with the socket alone.
    set: i32,
    /// May descriptors come along? Without a network the child has no call to take them with.
    network: bool,
    /// Bits for the vCPU's events.
    events: u64,
    /// Tokens of look-ups that have ended.
    lookups: u64,
}

/// A message that came; its body is in the buffer.
struct Came {
    head: Head,
    body: usize,
    descriptor: Option<i32>,
}

impl Channel {
    /// A channel with room for messages. `set` is an epoll set that holds the socket alone.
    pub(crate) fn new(buffer: &'static mut [u8], set: i32, network: bool) -> Self {
        debug_assert!(buffer.len() >= MESSAGE_MAX);
        Self { buffer, set, network, events: 0, lookups: 0 }
    }

    /// Event bits that have come.
    pub(crate) fn take_events(&mut self) -> u64 {
        core::mem::take(&mut self.events)
    }

    /// A look-up that has ended.
    pub(crate) fn next_lookup(&mut self) -> Option<u32> {
        let token = self.lookups.trailing_zeros();
        self.lookups &= self.lookups.wrapping_sub(1);
        (token < 64).then_some(token)
    }

    /// Takes note of everything that the parent has said.
    pub(crate) fn hear(&mut self) {
        while system::epoll_wait(self.set, &mut [EpollEvent::default()], Some(0)) > 0 {
            match self.receive() {
                Some(came) => drop_descriptor(came.descriptor),
                None => return,
            }
        }
    }

    /// What a look-up came to: 0 or a negative errno, and addresses.
    pub(crate) fn take_lookup(&mut self, token: u32) -> (i32, impl Iterator<Item = Address> + '_) {
        let answer = self.ask(Head { socket: token, ..Head::new(Kind::TakeLookup) }, &[]);
        let (status, length) = answer.map_or((-errno::EINVAL, 0), |came| (came.head.status, came.body));
        let body = &self.buffer[Head::LENGTH..Head::LENGTH + length];
        (status, body.chunks_exact(size_of::<Address>()).filter_map(value_of))
    }

    /// Sends a message whose body is `length` bytes of the guest's, and waits for the answer.
    pub(crate) fn ask_about(&mut self, head: Head, body: *const u8, length: usize) {
        self.put_guest(0, body, length);
        if let Some(came) = self.exchange(head, length) {
            drop_descriptor(came.descriptor);
        }
    }

    /// Copies guest memory into the buffer, `at` bytes behind the head. What does not fit is left out.
    fn put_guest(&mut self, at: usize, bytes: *const u8, length: usize) {
        let room = &mut self.buffer[Head::LENGTH + at..];
        let length = length.min(room.len());
        // SAFETY: the callers bound the bytes to the machine's memory, which this buffer is not part of. Where the guest
        // has made it inaccessible, the fault handler ends the machine.
        unsafe { core::ptr::copy_nonoverlapping(bytes, room.as_mut_ptr(), length) };
    }

    /// Asks, and waits for the answer.
    fn ask(&mut self, head: Head, parts: &[&[u8]]) -> Option<Came> {
        let mut length = 0;
        for part in parts {
            let room = self.buffer.get_mut(Head::LENGTH + length..)?;
            room.get_mut(..part.len())?.copy_from_slice(part);
            length += part.len();
        }
        self.exchange(head, length)
    }

    fn exchange(&mut self, head: Head, length: usize) -> Option<Came> {
        self.send(head, length);
        loop {
            let came = self.receive()?;
            if matches!(Kind::of(came.head.kind), Some(Kind::Response | Kind::Done)) {
                return Some(came);
            }
            drop_descriptor(came.descriptor);
        }
    }

    /// Sends the `length` bytes that stand behind the head's place.
    fn send(&mut self, head: Head, length: usize) {
        self.buffer[..Head::LENGTH].copy_from_slice(&head.bytes());
        while system::write(CONTROL, self.buffer.as_ptr(), Head::LENGTH + length) == -(errno::EINTR as isize) {}
    }

    /// Waits for one message, and takes note of what is not an answer. `None`: the parent has gone.
    fn receive(&mut self) -> Option<Came> {
        let (got, descriptor) = loop {
            let came = if self.network {
                system::receive_message(CONTROL, self.buffer)
            } else {
                // SAFETY: the buffer is ours.
                (unsafe { system::read(CONTROL, self.buffer.as_mut_ptr(), self.buffer.len()) }, None)
            };
            if came.0 != -(errno::EINTR as isize) {
                break came;
            }
        };
        let (head, body) = Head::split(self.buffer.get(..usize::try_from(got).ok()?)?)?;
        let body = body.len();
        match Kind::of(head.kind) {
            Some(Kind::Events) => self.events |= u64::from(head.value) << 32 & (EVENT_STOP | EVENT_INTERRUPT),
            Some(Kind::Resolved) => self.lookups |= 1 << (head.socket % 64),
            _ => {}
        }
        Some(Came { head, body, descriptor })
    }

    fn answer(&self, came: Option<Came>) -> Answer {
        let Some(came) = came else { return Answer::error(errno::EINVAL) };
        let response = match Kind::of(came.head.kind) {
            Some(Kind::Response) => value_of(&self.buffer[Head::LENGTH..Head::LENGTH + came.body]),
            _ => Some(Response { status: came.head.status, ..Response::default() }),
        };
        Answer {
            descriptor: came.descriptor,
            ..response.map_or(Answer::error(errno::EINVAL), |response| Answer { response, descriptor: None })
        }
    }
}

impl Control for Channel {
    fn request(&mut self, request: &Request, accepted: Option<i32>) -> Answer {
        let value = accepted.map_or(u32::MAX, |d| d as u32);
        let came = self.ask(Head { value, ..Head::new(Kind::Request) }, &[bytes_of(request)]);
        self.answer(came)
    }

    fn resolve(&mut self, token: u32, name: &[u8]) -> Result<(), i32> {
        let request = Request {
            operation: abi::hostnet::Operation::Resolve as u32,
            argument: name.len() as u32,
            ..Request::default()
        };
        let came = self.ask(Head { socket: token, ..Head::new(Kind::Request) }, &[bytes_of(&request), name]);
        match self.answer(came).response.status {
            0 => Ok(()),
            status => Err(status.wrapping_neg()),
        }
    }

    fn send_to(&mut self, header: &SendHeader, bytes: *const u8, wait: bool) -> Answer {
        const HEADER: usize = size_of::<SendHeader>();
        let head = Head { socket: header.socket, status: wait.into(), ..Head::new(Kind::SendTo) };
        let length = header.length as usize;
        self.buffer[Head::LENGTH..Head::LENGTH + HEADER].copy_from_slice(bytes_of(header));
        self.put_guest(HEADER, bytes, length);
        if wait {
            let came = self.exchange(head, HEADER + length);
            return self.answer(came);
        }
        self.send(head, HEADER + length);
        Answer::default()
    }
}

fn drop_descriptor(descriptor: Option<i32>) {
    if let Some(descriptor) = descriptor {
        system::close(descriptor);
    }
}
