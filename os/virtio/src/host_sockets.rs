//! The host's sockets over three queues: what [`abi::hostnet`] lays down, as calls.
//!
//! Each queue has its own lock, so that the sink of [`device::HostSockets::poll`] may send. Control waits for its answer,
//! which our far sides give before the kick returns; only a name's answer comes later, through `poll`.
//!
//! The invariant of the unsafe code here: the structs of [`abi::hostnet`] are plain integers, so any bytes are a value of
//! them, and they are copied to and from device memory unaligned.

use crate::memory::Block;
use crate::platform;
use crate::queue::Queue;
use crate::transport::{Opened, Wanted, open};
use abi::boot::{DEVICE_FLAG_CHEAP_KICK, Device};
use abi::hostnet::{Address, EventHeader, Operation, Request, Response, SendHeader, SendStatus};
use abi::ring::Buffer;
use alloc::vec::Vec;
use core::mem::size_of;
use device::{Incoming, Sent};
use sync::{Lasting, lasting};

const WANTED: Wanted = Wanted { name: "hostnet", features: 0, together: 0, queue_sizes: &[64, 64, 256] };
/// Bytes of a control slot: a request with a name in its first half, an answer with addresses in the second.
const CONTROL_SLOT: usize = 2048;
const CONTROL_HALF: usize = CONTROL_SLOT / 2;
/// Requests under way at once; all but one may be names.
const CONTROL_SLOTS: usize = 16;
/// Bytes of a send slot: the longest datagram, its header, and its status at the end.
const SEND_SLOT: usize = (64 << 10) + 128;
const SEND_DATA_MAX: usize = SEND_SLOT - size_of::<SendHeader>() - size_of::<SendStatus>();
/// Bytes of an event buffer: the longest datagram with its header. What is not filled is never touched, and costs nothing.
const EVENT_BUFFER: usize = (64 << 10) + 128;
/// While an answer is outstanding the far side gets this many ns at a time.
const PAUSE_NS: u64 = 1_000_000;

/// The driver.
pub(crate) struct HostSockets {
    control: Lasting<Control>,
    send: Lasting<Outgoing>,
    events: Lasting<Events>,
}

impl HostSockets {
    /// Opens device number `index`.
    pub(crate) fn open(index: usize, device: &Device) -> Option<Self> {
        Self::new(open(index, device, &WANTED)?, device.flags & DEVICE_FLAG_CHEAP_KICK != 0)
    }

    /// On an opened device; `cheap` if a kick is a plain call.
    pub(crate) fn new(opened: Opened, cheap: bool) -> Option<Self> {
        let mut queues = opened.queues.into_iter();
        let control = lasting(Control::new(queues.next()?)?);
        let send = lasting(Outgoing::new(queues.next()?, cheap)?);
        let events = lasting(Events::new(queues.next()?)?);
        Some(Self { control, send, events })
    }
}

impl HostSockets {
    fn tell_sent(&self, sink: &mut dyn FnMut(Incoming<'_>)) -> bool {
        let mut news = false;
        loop {
            // The lock is not held while the sink runs: it may send.
            let Some((sent, status)) = self.send.lock().next_done() else { break };
            sink(Incoming::Sent(sent.socket, sent.kind, status));
            news = true;
        }
        news
    }
}

impl device::HostSockets for HostSockets {
    fn control(&self, request: &Request) -> Response {
        let slot = loop {
            if let Some(slot) = self.control.lock().ask(request, &[], None) {
                break slot;
            }
            platform::pause(PAUSE_NS);
        };
        loop {
            if let Some(response) = self.control.lock().answer(slot) {
                return response;
            }
            platform::pause(PAUSE_NS);
        }
    }

    fn resolve(&self, name: &str, token: u32) -> bool {
        let request =
            Request { operation: Operation::Resolve as u32, argument: name.len() as u32, ..Request::default() };
        name.len() + size_of::<Request>() <= CONTROL_HALF
            && self.control.lock().ask(&request, name.as_bytes(), Some(token)).is_some()
    }

    fn send(&self, header: &SendHeader, bytes: &[u8]) -> Sent {
        self.send.lock().send(header, bytes)
    }

    fn poll(&self, sink: &mut dyn FnMut(Incoming<'_>)) -> bool {
        // A send's status stands in its queue before the event that follows it (`Writable`) does in the other one; so
        // the statuses are looked at once an event is in hand, and told first.
        let mut news = self.events.lock().poll(&mut |event| {
            self.tell_sent(sink);
            sink(event);
        });
        news |= self.tell_sent(sink);
        loop {
            let Some((token, status, addresses)) = self.control.lock().next_name() else { break };
            sink(Incoming::Resolved(token, status, &addresses));
            news = true;
        }
        news
    }

    fn arm(&self) -> bool {
        let events = self.events.lock().queue.arm();
        let send = self.send.lock().arm();
        let control = self.control.lock().arm();
        events | send | control
    }
}

/// What a control slot is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Free,
    /// Somebody waits for the answer.
    Asked,
    /// A name, with its token.
    Name(u32),
    /// The answer is there.
    Answered,
    NameAnswered(u32),
}

struct Control {
    queue: Queue,
    memory: Block,
    slots: [Slot; CONTROL_SLOTS],
}

impl Control {
    fn new(mut queue: Queue) -> Option<Self> {
        queue.disarm();
        Some(Self { queue, memory: Block::new(CONTROL_SLOTS, CONTROL_SLOT)?, slots: [Slot::Free; CONTROL_SLOTS] })
    }

    /// Sends a request; its slot, or `None` if there is no room.
    fn ask(&mut self, request: &Request, name: &[u8], token: Option<u32>) -> Option<usize> {
        self.reap();
        let free = self.slots.iter().filter(|s| **s == Slot::Free).count();
        // The last slot is for those who wait.
        if free < if token.is_some() { 2 } else { 1 } {
            return None;
        }
        let slot = self.slots.iter().position(|s| *s == Slot::Free)?;
        let bytes = self.memory.bytes(slot);
        put(bytes, 0, request);
        bytes[size_of::<Request>()..size_of::<Request>() + name.len()].copy_from_slice(name);
        let bus = self.memory.bus(slot);
        let chain = [
            Buffer::readable(bus, (size_of::<Request>() + name.len()) as u32),
            Buffer::writable(abi::address::BusAddr(bus.0 + CONTROL_HALF as u64), CONTROL_HALF as u32),
        ];
        if !self.queue.add(slot as u16, &chain) {
            return None;
        }
        self.slots[slot] = token.map_or(Slot::Asked, Slot::Name);
        self.queue.kick();
        Some(slot)
    }

    fn reap(&mut self) {
        while let Some((slot, _)) = self.queue.take() {
            let slot = &mut self.slots[usize::from(slot)];
            *slot = match *slot {
                Slot::Name(token) => Slot::NameAnswered(token),
                _ => Slot::Answered,
            };
        }
    }

    fn answer(&mut self, slot: usize) -> Option<Response> {
        self.reap();
        if self.slots[slot] != Slot::Answered {
            return None;
        }
        self.slots[slot] = Slot::Free;
        Some(get(self.memory.bytes(slot), CONTROL_HALF))
    }

    fn next_name(&mut self) -> Option<(u32, i32, Vec<Address>)> {
        if self.queue.has_used() {
            self.reap();
        }
        let (slot, token) = self.slots.iter().enumerate().find_map(|(slot, state)| match state {
            Slot::NameAnswered(token) => Some((slot, *token)),
            _ => None,
        })?;
        self.slots[slot] = Slot::Free;
        let bytes = self.memory.bytes(slot);
        let response: Response = get(bytes, CONTROL_HALF);
        let first = CONTROL_HALF + size_of::<Response>();
        let room = (CONTROL_SLOT - first) / size_of::<Address>();
        let count = (response.value as usize).min(room);
        let addresses: Vec<Address> = (0..count).map(|i| get(bytes, first + i * size_of::<Address>())).collect();
        Some((token, response.status, addresses))
    }

    fn arm(&mut self) -> bool {
        let waiting = self.slots.iter().any(|s| matches!(s, Slot::Name(_)));
        let there = self.slots.iter().any(|s| matches!(s, Slot::NameAnswered(_)));
        there || waiting && self.queue.arm()
    }
}

/// Whose send a slot is, and of which kind.
#[derive(Clone, Copy, Default)]
struct Owner {
    socket: u32,
    kind: u32,
}

struct Outgoing {
    queue: Queue,
    memory: Block,
    free: Vec<u16>,
    /// By slot: whose send it is.
    owners: Vec<Owner>,
    cheap: bool,
    /// Came back while somebody took his own result; [`Incoming::Sent`] is still to be told.
    done: alloc::collections::VecDeque<(Owner, SendStatus)>,
}

impl Outgoing {
    fn new(mut queue: Queue, cheap: bool) -> Option<Self> {
        queue.disarm();
        // Where sends are dealt with later, what an exit takes along is what fits in here (a send is two descriptors).
        let many = (platform::free_bytes() / 16 / SEND_SLOT).clamp(4, 32);
        let memory = Block::new(if cheap { 2 } else { many }, SEND_SLOT)?;
        let free = (0..memory.count() as u16).rev().collect();
        let owners = alloc::vec![Owner::default(); memory.count()];
        Some(Self { queue, memory, free, owners, cheap, done: Default::default() })
    }

    fn send(&mut self, header: &SendHeader, bytes: &[u8]) -> Sent {
        let Some(slot) = self.free.last().copied() else { return Sent::Full };
        // A stream takes what fits; a datagram always does (it has at most 65,507 bytes).
        let bytes = &bytes[..bytes.len().min(SEND_DATA_MAX)];
        let mut header = *header;
        if header.kind == abi::hostnet::SEND_DATA {
            header.length = bytes.len() as u32;
        }
        let memory = self.memory.bytes(usize::from(slot));
        put(memory, 0, &header);
        memory[size_of::<SendHeader>()..size_of::<SendHeader>() + bytes.len()].copy_from_slice(bytes);
        let bus = self.memory.bus(usize::from(slot));
        let status = bus.0 + (SEND_SLOT - size_of::<SendStatus>()) as u64;
        let chain = [
            Buffer::readable(bus, (size_of::<SendHeader>() + bytes.len()) as u32),
            Buffer::writable(abi::address::BusAddr(status), size_of::<SendStatus>() as u32),
        ];
        if !self.queue.add(slot, &chain) {
            return Sent::Full;
        }
        self.free.pop();
        self.owners[usize::from(slot)] = Owner { socket: header.socket, kind: header.kind };
        if !self.cheap {
            self.queue.publish();
            return Sent::Queued;
        }
        self.queue.kick();
        let mut own = None;
        while let Some((done, status)) = self.take() {
            if done == slot {
                own = Some(status);
            } else {
                self.done.push_back((self.owners[usize::from(done)], status));
            }
        }
        own.map_or(Sent::Queued, Sent::Done)
    }

    /// The next send that was dealt with, by slot.
    fn take(&mut self) -> Option<(u16, SendStatus)> {
        let (slot, _) = self.queue.take()?;
        self.free.push(slot);
        let status = get(self.memory.bytes(usize::from(slot)), SEND_SLOT - size_of::<SendStatus>());
        Some((slot, status))
    }

    fn next_done(&mut self) -> Option<(Owner, SendStatus)> {
        if let Some(done) = self.done.pop_front() {
            return Some(done);
        }
        let (slot, status) = self.take()?;
        Some((self.owners[usize::from(slot)], status))
    }

    fn arm(&mut self) -> bool {
        !self.done.is_empty() || self.free.len() < self.memory.count() && self.queue.arm()
    }
}

struct Events {
    queue: Queue,
    memory: Block,
}

impl Events {
    fn new(mut queue: Queue) -> Option<Self> {
        queue.disarm();
        // A buffer for each socket that is ready at once; a small machine gets along with fewer.
        let count = (platform::free_bytes() / 16 / EVENT_BUFFER).clamp(4, 64).min(queue.size());
        let memory = Block::new(count, EVENT_BUFFER)?;
        let mut events = Self { queue, memory };
        for buffer in 0..count {
            events.post(buffer);
        }
        events.queue.offer();
        Some(events)
    }

    fn post(&mut self, buffer: usize) {
        let chain = [Buffer::writable(self.memory.bus(buffer), EVENT_BUFFER as u32)];
        self.queue.add(buffer as u16, &chain);
    }

    fn poll(&mut self, sink: &mut dyn FnMut(Incoming<'_>)) -> bool {
        self.queue.disarm();
        let mut news = false;
        // At most one round of the ring: a far side that is faster than we are does not keep us here.
        for _ in 0..self.memory.count() {
            let Some((buffer, written)) = self.queue.take() else { break };
            let bytes = self.memory.bytes(usize::from(buffer));
            if written >= size_of::<EventHeader>() {
                let header: EventHeader = get(bytes, 0);
                let data = &bytes[size_of::<EventHeader>()..written];
                let length = if header.event == abi::hostnet::Event::Data as u32 { header.value as usize } else { 0 };
                sink(Incoming::Event(&header, &data[..length.min(data.len())]));
            }
            self.post(usize::from(buffer));
            news = true;
        }
        if news {
            self.queue.offer();
        }
        news
    }
}

/// Writes a struct into device memory.
fn put<T: Copy>(bytes: &mut [u8], at: usize, value: &T) {
    let room = &mut bytes[at..at + size_of::<T>()];
    // SAFETY: `room` has exactly the struct's size, and an unaligned write asks for nothing else.
    unsafe { room.as_mut_ptr().cast::<T>().write_unaligned(*value) }
}

/// Reads a struct of integers from device memory.
fn get<T: Copy>(bytes: &[u8], at: usize) -> T {
    let room = &bytes[at..at + size_of::<T>()];
    // SAFETY: `room` has exactly the struct's size, and any bytes are a value of it (see the module's invariant).
    unsafe { room.as_ptr().cast::<T>().read_unaligned() }
}
