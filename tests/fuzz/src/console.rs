//! The console server under a guest that lies. It writes to descriptors 1 and 2 and reads 0, so whoever calls this has
//! pointed them elsewhere before ([`Aside`]).

use crate::input::Input;
use crate::memory::{Guarded, LENGTH, Queue, ram};
use host_device::console::Console;
use rustix::event::epoll;
use rustix::io::dup;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// Runs an input: steps of the guest.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let mut memory = Guarded::new(LENGTH);
    let mut queues = [Queue::new(4), Queue::new(8), Queue::new(8)];
    let sets = [(); 2].map(|()| epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll set"));
    let devices = queues.each_mut().map(|queue| queue.device(false));
    let mut server = Console::new(devices, ram(&mut memory), sets[0].as_raw_fd(), sets[1].as_raw_fd(), 1);
    while !input.is_empty() {
        let step = input.byte();
        let queue = usize::from(step >> 4) % 4;
        let served = match step & 3 {
            0 | 1 if queue < 3 => {
                queues[queue].scribble(&mut input);
                Ok(host_device::Served::default())
            }
            2 => {
                server.input_event();
                server.serve()
            }
            _ => server.kick(queue),
        };
        if served.is_err() {
            break; // the machine has ended
        }
    }
    memory.assert_whole();
    queues.iter().for_each(|queue| queue.memory.assert_whole());
}

/// Standard input is a file of zeros, standard output and error are nowhere, until this is dropped.
pub struct Aside {
    before: [OwnedFd; 3],
}

impl Aside {
    /// Points them there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> std::io::Result<Self> {
        let before = [dup(stdin())?, dup(stdout())?, dup(stderr())?];
        let nowhere = File::options().write(true).open("/dev/null")?;
        dup2_stdin(File::open("/dev/zero")?)?;
        dup2_stdout(&nowhere)?;
        dup2_stderr(&nowhere)?;
        Ok(Self { before })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let [input, output, errors] = &self.before;
        _ = dup2_stdin(input);
        _ = dup2_stdout(output);
        _ = dup2_stderr(errors);
    }
}
