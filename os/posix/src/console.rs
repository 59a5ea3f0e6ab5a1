//! Standard input, output and error: the console, or the gate where a machine has none.
//!
//! A write goes to the console's queue and, unless output comes thick and fast, at once to the far side: under a
//! hypervisor every flush is a machine exit, so a burst of lines shares one. What is left then goes out when the machine
//! next waits, at the next write after the burst, or when the machine ends ([`machine::on_end`]).

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use device::{Console, Input, Stream};
use hostnet::bytes::ByteQueue;
use sync::{Once, SpinLock};

use crate::errno::{Errno, Result};
use crate::events::{self, READABLE, WRITABLE};
use crate::file::{Description, File, Open, READ_WRITE};
use crate::observe::Observers;
use crate::stat::{self, Stat};

/// Flushes in one window that go out at once.
const BURST: u32 = 16;
/// The window, in ns.
const WINDOW_NS: u64 = 1_000_000;

struct Service {
    device: Option<&'static dyn Console>,
    observers: Observers,
    input: SpinLock<Ahead>,
    window_start_ns: AtomicU64,
    flushes: AtomicU32,
    /// Output found no room.
    starved: AtomicBool,
}

/// Input that was read from the device to see whether there is some.
struct Ahead {
    bytes: ByteQueue,
    ended: bool,
}

/// The console service, set up on first use.
fn service() -> &'static Service {
    static SERVICE: Once<Service> = Once::new();
    static REGISTERED: Once<()> = Once::new();
    let service = SERVICE.get_or_init(|| Service {
        device: device::console(),
        observers: Observers::new(),
        input: SpinLock::new(Ahead { bytes: ByteQueue::new(), ended: false }),
        window_start_ns: AtomicU64::new(0),
        flushes: AtomicU32::new(0),
        starved: AtomicBool::new(false),
    });
    if service.device.is_some() {
        REGISTERED.get_or_init(|| {
            thread::register_poller(service);
            machine::on_end(flush);
        });
    }
    service
}

/// Brings all output to the far side.
pub fn flush() {
    if let Some(device) = service().device {
        device.flush();
    }
}

impl Service {
    fn write(&self, stream: Stream, bytes: &[u8]) -> Result<usize> {
        let Some(device) = self.device else {
            machine::gate::log(bytes);
            return Ok(bytes.len());
        };
        let mut taken = device.write(stream, bytes);
        if taken < bytes.len() {
            device.flush();
            taken += device.write(stream, &bytes[taken..]);
        }
        if stream == Stream::Error || self.may_flush() {
            device.flush();
        }
        if taken == 0 && !bytes.is_empty() {
            self.starved.store(true, Relaxed);
            return Err(Errno::AGAIN);
        }
        Ok(taken)
    }

    /// Looks at the device where nothing was read ahead; gives the bytes there are, and whether that is all.
    fn look_ahead(&self) -> (usize, bool) {
        let mut ahead = self.input.lock();
        if ahead.bytes.is_empty() && !ahead.ended {
            let mut piece = [0; 256];
            match self.device.map_or(Input::End, |device| device.read(&mut piece)) {
                // Without memory the bytes are lost, as on a terminal whose buffer is full.
                Input::Bytes(count) => drop(ahead.bytes.push(&piece[..count])),
                Input::Empty => {}
                Input::End => ahead.ended = true,
            }
        }
        (ahead.bytes.len(), ahead.ended)
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        match self.look_ahead() {
            _ if buffer.is_empty() => Ok(0),
            (0, true) => Ok(0),
            (0, false) => Err(Errno::AGAIN),
            _ => Ok(self.input.lock().bytes.pop(buffer)),
        }
    }

    /// Was everything read that was read ahead?
    fn wants_input(&self) -> bool {
        let ahead = self.input.lock();
        ahead.bytes.is_empty() && !ahead.ended
    }

    /// Is this write outside a burst?
    fn may_flush(&self) -> bool {
        let now = machine::clock::monotonic_ns();
        if now.wrapping_sub(self.window_start_ns.load(Relaxed)) > WINDOW_NS {
            self.window_start_ns.store(now, Relaxed);
            self.flushes.store(0, Relaxed);
        }
        let flushes = self.flushes.load(Relaxed);
        self.flushes.store(flushes.saturating_add(1), Relaxed);
        flushes < BURST
    }
}

impl thread::Poller for Service {
    /// Input that nobody waits for is no news, however long it lies there: it would keep the machine from sleeping.
    fn poll(&self) -> bool {
        let Some(device) = self.device else { return false };
        if !device.poll() || !self.observers.watched() {
            return false;
        }
        let waiting = self.wants_input();
        let news = waiting && self.look_ahead() != (0, false) || self.starved.swap(false, Relaxed);
        self.observers.notify(0);
        news
    }

    fn arm(&self) -> bool {
        let Some(device) = self.device else { return false };
        device.flush();
        let wanted = self.observers.watched() && (self.wants_input() || self.starved.load(Relaxed));
        wanted && device.arm()
    }

    fn deadline(&self) -> Option<u64> {
        None
    }
}

/// Standard input.
struct Reader;

/// Standard output or error.
struct Writer(Stream);

/// The files of descriptors 0, 1 and 2.
pub(crate) fn standard_files() -> [Open; 3] {
    [
        Description::open(Reader, READ_WRITE),
        Description::open(Writer(Stream::Output), READ_WRITE),
        Description::open(Writer(Stream::Error), READ_WRITE),
    ]
}

/// Linux's number of `/dev/console`.
const STAT: Stat = Stat { inode: 2, device: 0x501, ..Stat::with_mode(stat::CHARACTER | 0o600) };

impl File for Reader {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        service().read(buffer)
    }

    fn ready(&self) -> u32 {
        match service().look_ahead() {
            (0, false) => 0,
            (0, true) => READABLE | events::HUP,
            _ => READABLE,
        }
    }

    /// Input is left alone until somebody asks for it: it may be meant for who comes after this program.
    fn ready_for(&self, events: u32) -> u32 {
        if events & READABLE == 0 { 0 } else { self.ready() }
    }

    fn available(&self) -> Result<usize> {
        Ok(service().look_ahead().0)
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&service().observers)
    }

    fn stat(&self) -> Stat {
        STAT
    }
}

impl File for Writer {
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        service().write(self.0, bytes)
    }

    fn ready(&self) -> u32 {
        WRITABLE
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&service().observers)
    }

    fn stat(&self) -> Stat {
        STAT
    }
}

/// `/dev/tty`: both directions in one file.
struct Terminal;

/// The console as one file.
pub(crate) fn terminal(flags: u32) -> Open {
    Description::open(Terminal, flags)
}

impl File for Terminal {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        Reader.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        service().write(Stream::Output, bytes)
    }

    fn ready(&self) -> u32 {
        Reader.ready() | WRITABLE
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&service().observers)
    }

    fn stat(&self) -> Stat {
        STAT
    }
}

/// Writes a message of the library OS's own to standard error, as far as there is room.
pub(crate) fn say(message: &[u8]) {
    // Nobody can be told that a hint was lost.
    let _ = service().write(Stream::Error, message);
}
