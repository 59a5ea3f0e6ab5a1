//! The console: our own three-queue device ([`abi::console`]), or port 0 of a virtio-console (VIRTIO 1.2 §5.3).
//!
//! Output is copied into a few pages that are shared with the device. Where a kick costs an exit, bytes gather there
//! until a page is full or somebody flushes; where it is a plain call they are on their way before `write` returns.
//! Input buffers are posted at the first read, so that a program which reads nothing takes nothing from its terminal.

use crate::memory::Block;
use crate::platform;
use crate::queue::Queue;
use crate::transport::{Opened, Wanted, open};
use abi::boot::{DEVICE_FLAG_CHEAP_KICK, Device, TRANSPORT_SHARED};
use abi::console::{QUEUE_ERROR, QUEUE_INPUT, QUEUE_OUTPUT};
use abi::ring::Buffer;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use device::{Input, Stream};
use sync::{Lasting, SpinLock, lasting};

/// Bytes of a buffer.
const BUFFER: usize = 4096;
/// Buffers of each output stream, and of input.
const BUFFERS: usize = 4;
/// At the machine's end, how long `flush` waits for the far side: so many pauses of so many ns.
const LAST_PAUSES: (usize, u64) = (1000, 1_000_000);

const SHARED: Wanted = Wanted { name: "console", features: 0, together: 0, queue_sizes: &[16, 16, 16] };
const VIRTIO: Wanted = Wanted { name: "console", features: 0, together: 0, queue_sizes: &[16, 16] };

/// The driver.
pub(crate) struct Console {
    input: Lasting<Source>,
    output: Lasting<Sink>,
    /// Standard error's own queue; a virtio-console has none, and then it shares the other.
    error: Option<Lasting<Sink>>,
}

impl Console {
    /// Opens device number `index`.
    pub(crate) fn open(index: usize, device: &Device) -> Option<Self> {
        let shared = device.transport == TRANSPORT_SHARED;
        let opened = open(index, device, if shared { &SHARED } else { &VIRTIO })?;
        Self::new(opened, shared, device.flags & DEVICE_FLAG_CHEAP_KICK != 0)
    }

    /// On an opened device: `ours` if it is that of [`abi::console`], `cheap` if a kick is a plain call.
    pub(crate) fn new(opened: Opened, ours: bool, cheap: bool) -> Option<Self> {
        let mut queues = opened.queues.into_iter();
        // The order is that of the queue numbers, in both devices alike.
        const { assert!(QUEUE_INPUT == 0 && QUEUE_OUTPUT == 1 && QUEUE_ERROR == 2) };
        let input = lasting(Source::new(queues.next()?, ours)?);
        let output = lasting(Sink::new(queues.next()?, cheap)?);
        let error = match queues.next() {
            Some(queue) => Some(lasting(Sink::new(queue, cheap)?)),
            None => None,
        };
        Some(Self { input, output, error })
    }

    fn sink(&self, stream: Stream) -> &SpinLock<Sink> {
        match (stream, &self.error) {
            (Stream::Error, Some(sink)) => sink,
            _ => &self.output,
        }
    }

    fn sinks(&self) -> impl Iterator<Item = &Lasting<Sink>> {
        core::iter::once(&self.output).chain(&self.error)
    }
}

impl device::Console for Console {
    fn write(&self, stream: Stream, bytes: &[u8]) -> usize {
        self.sink(stream).lock().write(bytes)
    }

    fn flush(&self) {
        for sink in self.sinks() {
            sink.lock().flush();
        }
        let (pauses, ns) = LAST_PAUSES;
        let mut left = if platform::ending() { pauses } else { 0 };
        while left > 0 && self.sinks().any(|sink| sink.lock().busy()) {
            platform::pause(ns);
            left -= 1;
        }
    }

    fn read(&self, buffer: &mut [u8]) -> Input {
        self.input.lock().read(buffer)
    }

    fn poll(&self) -> bool {
        let mut news = self.input.lock().poll();
        for sink in self.sinks() {
            news |= sink.lock().poll();
        }
        news
    }

    fn arm(&self) -> bool {
        let mut more = self.input.lock().arm();
        for sink in self.sinks() {
            more |= sink.lock().arm();
        }
        more
    }
}

/// One output stream.
struct Sink {
    queue: Queue,
    memory: Block,
    free: Vec<u16>,
    /// A buffer that is being filled, and how far.
    filling: Option<(u16, usize)>,
    cheap: bool,
    /// Somebody found no room.
    starved: bool,
}

impl Sink {
    fn new(mut queue: Queue, cheap: bool) -> Option<Self> {
        queue.disarm();
        let memory = Block::new(BUFFERS.min(queue.size()), BUFFER)?;
        let free = (0..memory.count() as u16).rev().collect();
        Some(Self { queue, memory, free, filling: None, cheap, starved: false })
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let Some((buffer, at)) = self.filling.or_else(|| self.fresh()) else {
                self.starved = true;
                break;
            };
            let part = (bytes.len() - taken).min(BUFFER - at);
            let room = &mut self.memory.bytes(usize::from(buffer))[at..at + part];
            room.copy_from_slice(&bytes[taken..taken + part]);
            taken += part;
            self.filling = Some((buffer, at + part));
            if at + part == BUFFER {
                self.submit();
            }
        }
        if self.cheap {
            self.flush();
        }
        taken
    }

    /// An empty buffer; if none is left, whatever the device has finished with, and if it has finished with none, what it
    /// finishes when it is kicked.
    fn fresh(&mut self) -> Option<(u16, usize)> {
        if self.free.is_empty() && !self.reap() {
            self.queue.kick();
            self.reap();
        }
        self.free.pop().map(|buffer| (buffer, 0))
    }

    fn submit(&mut self) {
        if let Some((buffer, length)) = self.filling.take() {
            let chain = [Buffer::readable(self.memory.bus(usize::from(buffer)), length as u32)];
            // There is a descriptor for every buffer.
            self.queue.add(buffer, &chain);
        }
    }

    fn flush(&mut self) {
        self.submit();
        self.queue.kick();
        if self.cheap {
            self.reap();
        }
    }

    fn reap(&mut self) -> bool {
        let before = self.free.len();
        while let Some((buffer, _)) = self.queue.take() {
            self.free.push(buffer);
        }
        self.free.len() > before
    }

    fn busy(&mut self) -> bool {
        self.reap();
        self.free.len() < self.memory.count()
    }

    fn poll(&mut self) -> bool {
        self.queue.disarm();
        self.reap() && core::mem::take(&mut self.starved)
    }

    fn arm(&mut self) -> bool {
        self.starved && self.queue.arm()
    }
}

/// Standard input.
struct Source {
    queue: Queue,
    memory: Block,
    posted: bool,
    /// Full buffers: their numbers, how far they were read, and where they end.
    full: VecDeque<(u16, usize, usize)>,
    /// A used length of 0 ends the input (our own device). Otherwise the far side tells its length
    /// ([`abi::vcpu::Vcpu::input_end`]).
    empty_ends: bool,
    /// Bytes that have arrived.
    received: u64,
    ended: bool,
}

impl Source {
    fn new(mut queue: Queue, empty_ends: bool) -> Option<Self> {
        queue.disarm();
        let memory = Block::new(BUFFERS.min(queue.size()), BUFFER)?;
        Some(Self { queue, memory, posted: false, full: VecDeque::new(), empty_ends, received: 0, ended: false })
    }

    fn read(&mut self, into: &mut [u8]) -> Input {
        if !self.posted {
            self.posted = true;
            for buffer in 0..self.memory.count() as u16 {
                self.post(buffer);
            }
        }
        self.collect();
        let Some((buffer, at, end)) = self.full.front_mut() else {
            return if self.ended { Input::End } else { Input::Empty };
        };
        let part = into.len().min(*end - *at);
        into[..part].copy_from_slice(&self.memory.bytes(usize::from(*buffer))[*at..*at + part]);
        *at += part;
        if at == end {
            let buffer = *buffer;
            self.full.pop_front();
            self.post(buffer);
        }
        if part == 0 { Input::Empty } else { Input::Bytes(part) }
    }

    /// Takes full buffers from the ring; true if there were any, or the end.
    fn collect(&mut self) -> bool {
        let mut news = false;
        while let Some((buffer, length)) = self.queue.take() {
            match length {
                0 if self.empty_ends => self.ended = true,
                0 => {
                    self.post(buffer);
                    continue;
                }
                _ => {
                    self.received += length as u64;
                    self.full.push_back((buffer, 0, length));
                }
            }
            news = true;
        }
        if !self.ended && !self.empty_ends && platform::input_end().is_some_and(|end| self.received >= end) {
            self.ended = true;
            news = true;
        }
        news
    }

    fn post(&mut self, buffer: u16) {
        let chain = [Buffer::writable(self.memory.bus(usize::from(buffer)), BUFFER as u32)];
        self.queue.add(buffer, &chain);
        self.queue.offer();
    }

    fn poll(&mut self) -> bool {
        self.queue.disarm();
        self.collect()
    }

    fn arm(&mut self) -> bool {
        self.posted && !self.ended && self.queue.arm()
    }
}
