//! The host-socket server, with real sockets of this process behind it and nobody's network, under a guest that lies.

use crate::input::Input;
use crate::memory::{BASE, Guarded, LENGTH, Queue, ram};
use abi::hostnet::{Address, Request, Response, SendHeader};
use host_device::hostnet::table::{Table, memory_for};
use host_device::hostnet::{Answer, Control, Hostnet};
use rustix::event::epoll;
use rustix::fs::fstat;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

/// Few, so that they run out.
const SLOTS: usize = 4;
/// Sockets that one input may have.
const SOCKETS_MAX: usize = 12;

/// Runs an input: steps of the guest, of the epoll set and of the resolver.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let mut memory = Guarded::new(LENGTH);
    let mut queues = [Queue::new(8), Queue::new(8), Queue::new(16)];
    let mut table = vec![0u64; memory_for(SLOTS).div_ceil(8)];
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll set");
    let mut control = Sockets::default();
    // SAFETY: zeroed and long enough; table and queues live until after the server's last use.
    let server_table = unsafe { Table::in_zeroed(table.as_mut_ptr().cast(), SLOTS) };
    let devices = queues.each_mut().map(|queue| queue.device(false));
    let mut server = Hostnet::new(devices, ram(&mut memory), set.as_raw_fd(), server_table);
    while !input.is_empty() {
        let step = input.byte();
        let queue = usize::from(step >> 4) % 3;
        control.mood = input.byte();
        let served = match step & 7 {
            0 | 1 => {
                queues[queue].scribble(&mut input);
                Ok(host_device::Served::default())
            }
            2 => {
                let (at, count) = (usize::from(input.half()), usize::from(input.byte() & 63));
                memory.poke(at, input.bytes(count));
                Ok(host_device::Served::default())
            }
            3 => {
                request(&mut input, &mut memory, &mut queues[0]);
                server.kick(0, &mut control)
            }
            4 => {
                server.event(u64::from(input.byte()), input.word());
                server.kick(2, &mut control)
            }
            5 => {
                let count = usize::from(input.byte());
                let address = Address { family: 4, ..Address::default() };
                server.resolved(u32::from(input.byte() & 63), -i32::from(input.byte()), (0..count).map(|_| address))
            }
            6 => server.serve(&mut control),
            _ => server.kick(queue, &mut control),
        };
        if served.is_err() {
            break; // the machine has ended
        }
    }
    memory.assert_whole();
    queues.iter().for_each(|queue| queue.memory.assert_whole());
}

/// A request as a guest would make it that only lies in its fields.
fn request(input: &mut Input<'_>, memory: &mut Guarded, queue: &mut Queue) {
    let address = Address { family: if input.byte() & 1 == 0 { 4 } else { 6 }, ..Address::default() };
    let (operation, socket) = (u32::from(input.byte() % 12), u32::from(input.byte() % 16));
    let request = Request { operation, socket, address, argument: u32::from(input.byte() % 4), value: input.word() };
    memory.poke(0, host_device::bytes_of(&request));
    for (n, (at, length, flags)) in [(BASE, 64u32, 1u16), (BASE + 4096, 256, 2)].into_iter().enumerate() {
        queue.memory.poke(n * 16, &at.to_le_bytes());
        queue.memory.poke(n * 16 + 8, &length.to_le_bytes());
        queue.memory.poke(n * 16 + 12, &flags.to_le_bytes());
        queue.memory.poke(n * 16 + 14, &1u16.to_le_bytes());
    }
    queue.offer(0);
}

/// Stands for whoever decides; its mood is the input's. Hands out one end of a pair each time.
#[derive(Default)]
struct Sockets {
    mood: u8,
    ours: Vec<UnixStream>,
    /// The ends that were handed out, by descriptor and by inode: the server closes some of them itself.
    theirs: Vec<(i32, u64)>,
}

impl Sockets {
    fn answer(&mut self) -> Answer {
        let status = if self.mood & 3 == 0 { -13 } else { 0 };
        let response = Response { status, ..Response::default() };
        if self.mood & 4 == 0 || status != 0 || self.ours.len() >= SOCKETS_MAX {
            return Answer { response, descriptor: None };
        }
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.set_nonblocking(true).and_then(|()| ours.set_nonblocking(true)).expect("non-blocking sockets");
        if self.mood & 8 != 0 {
            _ = std::io::Write::write(&mut &ours, &[7; 3000]);
        }
        if self.mood & 16 != 0 {
            _ = ours.shutdown(std::net::Shutdown::Both);
        }
        self.theirs.push((theirs.as_raw_fd(), fstat(theirs.as_fd()).expect("a descriptor").st_ino));
        self.ours.push(ours);
        Answer { response, descriptor: Some(theirs.into_raw_fd()) }
    }
}

impl Control for Sockets {
    fn request(&mut self, _: &Request, _: Option<i32>) -> Answer {
        self.answer()
    }

    fn resolve(&mut self, _: u32, name: &[u8]) -> Result<(), i32> {
        assert!((1..=255).contains(&name.len()));
        if self.mood & 1 == 0 { Ok(()) } else { Err(2) }
    }

    fn send_to(&mut self, header: &SendHeader, bytes: *const u8, _: bool) -> Answer {
        // SAFETY: the server has bounded the bytes to guest memory.
        let sum = (0..header.length as usize).map(|n| u64::from(unsafe { bytes.add(n).read_volatile() })).sum::<u64>();
        std::hint::black_box(sum);
        self.answer()
    }
}

impl Drop for Sockets {
    /// What the server still holds would be lost with it.
    fn drop(&mut self) {
        for (descriptor, inode) in self.theirs.drain(..) {
            // SAFETY: only looked at; it may be closed, or another's by now, which its inode tells.
            let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
            if fstat(borrowed).is_ok_and(|stat| stat.st_ino == inode) {
                // SAFETY: still the one that was handed out, and the server that owned it is gone.
                drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
            }
        }
    }
}
