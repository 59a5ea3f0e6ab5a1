//! The network device's server under a guest that lies, with a pair of datagram sockets for the interface.

use crate::input::Input;
use crate::memory::{Guarded, LENGTH, Queue, ram};
use host_device::net::Net;
use rustix::event::epoll;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;

/// Runs an input: steps of the guest, and frames from the wire.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let mut memory = Guarded::new(LENGTH);
    let mut queues = [Queue::new(8), Queue::new(8)];
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll set");
    let (wire, interface) = UnixDatagram::pair().expect("a pair of sockets");
    for end in [&wire, &interface] {
        end.set_nonblocking(true).expect("no waiting");
    }
    let devices = queues.each_mut().map(|queue| queue.device(false));
    let server = Net::new(devices, ram(&mut memory), interface.as_raw_fd(), set.as_raw_fd(), 1);
    let mut server = server.expect("a socket can be watched");
    let mut frame = [0; 2048];
    while !input.is_empty() {
        let step = input.byte();
        let queue = usize::from(step >> 4) % 3;
        let served = match step & 3 {
            0 | 1 if queue < 2 => {
                queues[queue].scribble(&mut input);
                Ok(host_device::Served::default())
            }
            2 => {
                // What comes from the wire is the kernel's, but its length is anybody's.
                let length = usize::from(input.byte()) * 8;
                _ = wire.send(&frame[..length]);
                server.event();
                server.serve()
            }
            _ => server.kick(queue),
        };
        if served.is_err() {
            break; // the machine has ended
        }
        while wire.recv(&mut frame).is_ok() {}
    }
    memory.assert_whole();
    queues.iter().for_each(|queue| queue.memory.assert_whole());
}
