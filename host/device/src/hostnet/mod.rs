//! The host-socket server (see [`abi::hostnet`]).
//!
//! | file | what it does |
//! |---|---|
//! | [`table`] | the sockets, by number |
//! | `requests` | the control queue: asks whoever decides, and keeps what it hands out |
//! | `sends` | the send queue: writes at once, takes credit |
//! | `events` | the event queue: reads what is ready into the guest's buffers |
//!
//! Data flows here, on descriptors; whatever names a peer or a port goes to a [`Control`], which checks the manifest. In
//! the process tender that is the parent process, under the KVM monitor a value in the same one.
//!
//! Every socket is in one edge-triggered epoll set. A ready socket stands in a list until a read came back short, so one
//! `epoll_pwait2` and one `read` serve a request, and sockets take turns, a buffer each.

mod events;
mod requests;
mod sends;
pub mod table;

use crate::capture::flows::Flows;
use crate::{Nonsense, Ram, Served, Traffic, What};
use abi::hostnet::{QUEUE_CONTROL, QUEUE_EVENTS, QUEUE_SEND, Request, Response, SendHeader, SendStatus};
use abi::ring::{Buffer, Chain, Device};
use requests::Lookup;
use table::Table;

/// Look-ups under way at once.
pub const LOOKUPS: usize = 64;

/// Whoever decides about the host's sockets.
pub trait Control {
    /// Carries out a request (never `Resolve`). `request.socket` is the socket's number, for `Open` the new one's.
    /// `accepted`: the descriptor, where it is one that [`Hostnet`] accepted and the other side does not know.
    fn request(&mut self, request: &Request, accepted: Option<i32>) -> Answer;

    /// Starts to look a name up; [`Hostnet::resolved`] is called with `token` later.
    ///
    /// # Errors
    /// An errno, positive.
    fn resolve(&mut self, token: u32, name: &[u8]) -> Result<(), i32>;

    /// Sends the `header.length` bytes at `bytes` as the header says: to its address, or to the connected peer with what
    /// a plain write cannot say. With `wait` the answer tells what became of it; without, it may be lost without a word,
    /// as on a network.
    ///
    /// `bytes` leads to guest memory, to be copied and not to be referred to.
    fn send_to(&mut self, header: &SendHeader, bytes: *const u8, wait: bool) -> Answer;
}

/// What a [`Control`] answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer {
    /// The answer; `status` is what counts for a datagram.
    pub response: Response,
    /// The socket's descriptor, where it has just come to exist: non-blocking, and the server's from now on.
    pub descriptor: Option<i32>,
}

impl Answer {
    /// An answer that is an errno, positive.
    pub fn error(errno: i32) -> Self {
        Self { response: Response { status: -errno, ..Response::default() }, descriptor: None }
    }
}

/// The server.
#[derive(Debug)]
pub struct Hostnet {
    queues: [Device; 3],
    ram: Ram,
    /// The epoll set; sockets' tokens are their numbers.
    set: i32,
    table: Table,
    /// A taken event buffer for which there was nothing yet.
    spare: Option<Chain>,
    lookups: [Option<Lookup>; LOOKUPS],
    /// Some listener could not accept for lack of descriptors or slots.
    starved: bool,
    traffic: Traffic,
    flows: Option<Flows>,
}

impl Hostnet {
    /// Serves `queues`, with `table` for its sockets and `set` to wait on.
    pub fn new(queues: [Device; 3], ram: Ram, set: i32, table: Table) -> Self {
        Self {
            queues,
            ram,
            set,
            table,
            spare: None,
            lookups: [None; LOOKUPS],
            starved: false,
            traffic: Traffic::default(),
            flows: None,
        }
    }

    /// Has everything that goes through written down from now on. `flows` has room for as many sockets as the table.
    pub fn set_flows(&mut self, flows: Flows) {
        self.flows = Some(flows);
    }

    /// Serves one queue; an unknown number is ignored.
    ///
    /// # Errors
    /// [`Nonsense`] ends the machine.
    pub fn kick(&mut self, queue: usize, control: &mut impl Control) -> Result<Served, Nonsense> {
        let (name, result) = match queue {
            QUEUE_CONTROL => ("control", self.serve_requests(control)),
            QUEUE_SEND => ("send", self.serve_sends(control)),
            QUEUE_EVENTS => ("events", self.deliver()),
            _ => return Ok(Served::default()),
        };
        result.map_err(|what| Nonsense { device: "hostnet", queue: name, what })
    }

    /// What went through.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Serves all queues.
    ///
    /// # Errors
    /// [`Nonsense`] ends the machine.
    pub fn serve(&mut self, control: &mut impl Control) -> Result<Served, Nonsense> {
        let requests = self.kick(QUEUE_CONTROL, control)?;
        let sends = self.kick(QUEUE_SEND, control)?;
        Ok(requests.and(sends).and(self.kick(QUEUE_EVENTS, control)?))
    }
}

/// The first readable buffer of a chain, at least `length` bytes.
fn first_readable(chain: &Chain, length: usize) -> Result<Buffer, What> {
    chain.readable().first().copied().filter(|b| b.length as usize >= length).ok_or(What::Chain)
}

/// The first writable buffer of a chain, at least `length` bytes.
fn first_writable(chain: &Chain, length: usize) -> Result<Buffer, What> {
    chain.writable().first().copied().filter(|b| b.length as usize >= length).ok_or(What::Chain)
}

fn failed(errno: i32) -> SendStatus {
    SendStatus { taken: 0, status: -errno }
}
