//! Console seams: one in memory, one that takes little at a time, one that tells what it was asked.

use super::{Random, lock};
use crate::{Console, Input, Stream};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::vec::Vec;

/// A console in memory: output is kept, input is what the test gives.
#[derive(Debug, Default)]
pub struct MemoryConsole(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    output: Vec<u8>,
    error: Vec<u8>,
    input: VecDeque<u8>,
    ended: bool,
    news: bool,
}

impl MemoryConsole {
    /// What was written to a stream so far.
    pub fn written(&self, stream: Stream) -> Vec<u8> {
        let memory = lock(&self.0);
        match stream {
            Stream::Output => memory.output.clone(),
            Stream::Error => memory.error.clone(),
        }
    }

    /// Somebody types.
    pub fn type_in(&self, bytes: &[u8]) {
        let mut memory = lock(&self.0);
        memory.input.extend(bytes);
        memory.news = true;
    }

    /// Nobody will type any more.
    pub fn end(&self) {
        let mut memory = lock(&self.0);
        memory.ended = true;
        memory.news = true;
    }
}

impl Console for MemoryConsole {
    fn write(&self, stream: Stream, bytes: &[u8]) -> usize {
        let mut memory = lock(&self.0);
        match stream {
            Stream::Output => memory.output.extend(bytes),
            Stream::Error => memory.error.extend(bytes),
        }
        bytes.len()
    }

    fn flush(&self) {}

    fn read(&self, buffer: &mut [u8]) -> Input {
        let mut memory = lock(&self.0);
        let length = buffer.len().min(memory.input.len());
        for (to, from) in buffer.iter_mut().zip(memory.input.drain(..length)) {
            *to = from;
        }
        match length {
            0 if memory.ended && memory.input.is_empty() => Input::End,
            0 => Input::Empty,
            _ => Input::Bytes(length),
        }
    }

    fn poll(&self) -> bool {
        core::mem::take(&mut lock(&self.0).news)
    }

    fn arm(&self) -> bool {
        lock(&self.0).news
    }
}

/// Takes a few bytes at a time, sometimes none, and has room again only after a flush.
#[derive(Debug)]
pub struct StingyConsole<C> {
    inner: C,
    state: Mutex<(Random, usize)>,
}

impl<C: Console> StingyConsole<C> {
    /// In front of another console.
    pub fn new(inner: C, seed: u64) -> Self {
        Self { inner, state: Mutex::new((Random::new(seed), 0)) }
    }

    /// The console behind.
    pub fn inner(&self) -> &C {
        &self.inner
    }
}

impl<C: Console> Console for StingyConsole<C> {
    fn write(&self, stream: Stream, bytes: &[u8]) -> usize {
        let (random, room) = &mut *lock(&self.state);
        let length = bytes.len().min(*room).min(1 + random.below(7) as usize);
        *room -= length;
        self.inner.write(stream, &bytes[..length])
    }

    fn flush(&self) {
        lock(&self.state).1 = 16;
        self.inner.flush();
    }

    fn read(&self, buffer: &mut [u8]) -> Input {
        let length = buffer.len().min(1 + lock(&self.state).0.below(3) as usize);
        self.inner.read(&mut buffer[..length])
    }

    fn poll(&self) -> bool {
        self.inner.poll()
    }

    fn arm(&self) -> bool {
        self.inner.arm()
    }
}

/// What a console was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleCall {
    /// So many bytes offered, so many taken.
    Write(Stream, usize, usize),
    /// A flush.
    Flush,
    /// A read and its result.
    Read(Input),
}

/// Tells what it was asked.
#[derive(Debug)]
pub struct TracedConsole<C> {
    inner: C,
    calls: Mutex<Vec<ConsoleCall>>,
}

impl<C: Console> TracedConsole<C> {
    /// In front of another console.
    pub fn new(inner: C) -> Self {
        Self { inner, calls: Mutex::default() }
    }

    /// The calls so far, which are then forgotten.
    pub fn take(&self) -> Vec<ConsoleCall> {
        core::mem::take(&mut lock(&self.calls))
    }
}

impl<C: Console> Console for TracedConsole<C> {
    fn write(&self, stream: Stream, bytes: &[u8]) -> usize {
        let taken = self.inner.write(stream, bytes);
        lock(&self.calls).push(ConsoleCall::Write(stream, bytes.len(), taken));
        taken
    }

    fn flush(&self) {
        lock(&self.calls).push(ConsoleCall::Flush);
        self.inner.flush();
    }

    fn read(&self, buffer: &mut [u8]) -> Input {
        let input = self.inner.read(buffer);
        lock(&self.calls).push(ConsoleCall::Read(input));
        input
    }

    fn poll(&self) -> bool {
        self.inner.poll()
    }

    fn arm(&self) -> bool {
        self.inner.arm()
    }
}
