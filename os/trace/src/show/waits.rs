//! What poll and epoll are asked, and what they found.

use super::{memory, pointer, words};
use crate::line::Line;
use crate::peek::{self, plain};
use core::fmt::Write as _;

/// `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Polled {
    fd: i32,
    wanted: u16,
    found: u16,
}

/// `struct epoll_event`, which is packed on x86-64.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Event {
    events: u32,
    data: u64,
}

plain!(Polled, Event);

/// `count` descriptors; `done`: what was found is there too.
pub(super) fn polled(line: &mut Line, address: usize, count: usize, done: bool) {
    if address == 0 {
        return pointer(line, address);
    }
    memory::list(line, address, count, |line, polled: Polled| {
        let _ = write!(line, "{{fd={}, events=", polled.fd);
        words::bits(line, words::POLL, polled.wanted.into());
        if done && polled.found != 0 {
            let _ = line.write_str(", revents=");
            words::bits(line, words::POLL, polled.found.into());
        }
        let _ = line.write_str("}");
    });
}

fn event(line: &mut Line, event: Event) {
    let (events, data) = (event.events, event.data);
    let _ = line.write_str("{events=");
    words::bits(line, words::EPOLL, events);
    let _ = write!(line, ", data={data:#x}}}");
}

/// One event.
pub(super) fn event_at(line: &mut Line, address: usize) {
    match peek::value::<Event>(address) {
        Some(found) => event(line, found),
        None => pointer(line, address),
    }
}

/// `count` events that were found.
pub(super) fn events(line: &mut Line, address: usize, count: usize) {
    memory::list(line, address, count, event);
}
