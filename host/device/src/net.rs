//! The network device: Ethernet frames between two queues (VIRTIO 1.2 §5.1) and a TAP interface of the host.
//!
//! A buffer is what the interface's descriptor carries: `struct virtio_net_hdr_v1` (§5.1.6), 12 bytes, and a frame. The host's
//! kernel reads and writes that header itself (`IFF_VNET_HDR`), checks it, and completes or verifies checksums; nothing here
//! looks into a frame. What the interface cannot take is lost, as on any link.

use crate::capture::Capture;
use crate::system::{self, EPOLL_EDGE, EPOLL_IN, errno};
use crate::{Nonsense, Ram, Served, Traffic, What};
use abi::ring::{Buffer, Chain, Device};

/// Queue number: frames to the guest (§5.1.2).
pub const QUEUE_RECEIVE: usize = 0;
/// Queue number: frames from the guest.
pub const QUEUE_TRANSMIT: usize = 1;
/// Bytes of the header.
const HEADER: u32 = 12;
/// The least a receive buffer holds: the header and a frame of 1514 bytes (§5.1.6.3.1).
const RECEIVE_MIN: u32 = HEADER + 1514;

/// The server of one interface.
#[derive(Debug)]
pub struct Net {
    queues: [Device; 2],
    ram: Ram,
    interface: i32,
    /// There may be a frame.
    is_readable: bool,
    /// A taken buffer for which there was no frame.
    spare: Option<Chain>,
    traffic: Traffic,
    capture: Option<Capture>,
}

impl Net {
    /// Serves `queues` on the non-blocking descriptor `interface`, which is added to the epoll set `events` with `token`
    /// here and never later; `None` if it cannot be watched.
    pub fn new(queues: [Device; 2], ram: Ram, interface: i32, events: i32, token: u64) -> Option<Self> {
        let is_watched = system::epoll_add(events, interface, EPOLL_IN | EPOLL_EDGE, token) == 0;
        is_watched.then_some(Self {
            queues,
            ram,
            interface,
            is_readable: true,
            spare: None,
            traffic: Traffic::default(),
            capture: None,
        })
    }

    /// Has every frame written down from now on, as it passes: checksums that are left to a device are not in it yet.
    pub fn set_capture(&mut self, capture: Capture) {
        self.capture = Some(capture);
    }

    /// Serves one queue; an unknown number is ignored.
    ///
    /// # Errors
    /// [`Nonsense`] ends the machine.
    pub fn kick(&mut self, queue: usize) -> Result<Served, Nonsense> {
        let (name, result) = match queue {
            QUEUE_RECEIVE => ("receive", self.receive()),
            QUEUE_TRANSMIT => ("transmit", self.transmit()),
            _ => return Ok(Served::default()),
        };
        result.map_err(|what| Nonsense { device: "net", queue: name, what })
    }

    /// Serves both queues.
    ///
    /// # Errors
    /// [`Nonsense`] ends the machine.
    pub fn serve(&mut self) -> Result<Served, Nonsense> {
        Ok(self.kick(QUEUE_TRANSMIT)?.and(self.kick(QUEUE_RECEIVE)?))
    }

    /// The interface's event came.
    pub fn event(&mut self) {
        self.is_readable = true;
    }

    /// What went through.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    fn transmit(&mut self) -> Result<Served, What> {
        while let Some(chain) = self.queues[QUEUE_TRANSMIT].take()? {
            let frame = one(chain.readable()).filter(|b| b.length > HEADER).ok_or(What::Chain)?;
            let from = self.ram.buffer(&frame)?;
            while system::write(self.interface, from, frame.length as usize) == -(errno::EINTR as isize) {}
            self.traffic.send(frame.length - HEADER);
            if let Some(capture) = &mut self.capture {
                capture.frame(from.wrapping_add(HEADER as usize), frame.length - HEADER);
            }
            self.queues[QUEUE_TRANSMIT].complete(chain.head(), 0);
        }
        Ok(Served::publish(&mut self.queues[QUEUE_TRANSMIT]))
    }

    fn receive(&mut self) -> Result<Served, What> {
        while self.is_readable {
            let Some(chain) = self.next_buffer()? else { break };
            let buffer = one(chain.writable()).filter(|b| b.length >= RECEIVE_MIN).ok_or(What::Chain)?;
            let into = self.ram.buffer(&buffer)?;
            // SAFETY: `ram` bounds the bytes to guest memory.
            let got = unsafe { system::read(self.interface, into, buffer.length as usize) };
            match u32::try_from(got) {
                Ok(length) if length > HEADER => {
                    self.traffic.receive(length - HEADER);
                    if let Some(capture) = &mut self.capture {
                        capture.frame(into.wrapping_add(HEADER as usize), length - HEADER);
                    }
                    self.queues[QUEUE_RECEIVE].complete(chain.head(), length);
                }
                other => {
                    // Nothing there, or the interface is gone for good; a new edge says more.
                    self.is_readable = other.is_ok_and(|length| length > 0) || got == -(errno::EINTR as isize);
                    self.spare = Some(chain);
                }
            }
        }
        Ok(Served::publish(&mut self.queues[QUEUE_RECEIVE]))
    }

    fn next_buffer(&mut self) -> Result<Option<Chain>, What> {
        match self.spare.take() {
            Some(chain) => Ok(Some(chain)),
            None => Ok(self.queues[QUEUE_RECEIVE].take()?),
        }
    }
}

/// The only buffer of its kind in a chain: the descriptor takes a frame in one piece.
fn one(buffers: &[Buffer]) -> Option<Buffer> {
    match buffers {
        [buffer] => Some(*buffer),
        _ => None,
    }
}
