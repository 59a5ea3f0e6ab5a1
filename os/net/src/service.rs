//! [`Inet`] as a [`device::Stack`]: its lock, its clock, its place in the scheduler's polling.
//!
//! The stack is set up by whoever first opens a socket. If it has to learn its address by DHCP, that caller waits for it
//! (but not for ever), so that a program finds the network as it would on a system that started its network before it.

use crate::errno::EACCES;
use crate::inet::{Answer, Inet, Network, World};
use crate::random::Random;
use crate::time::Instant;
use abi::manifest::{Policy, Protocol};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::{
    Ancillary, Error, Family, Frames, How, Kind, Ready, Received, Resolved, SocketId, SocketOption, Stack, Watch,
};
use sync::{Lasting, Once, lasting};
use thread::{Poller, WaitQueue};

/// How long the first caller waits for an address.
const CONFIGURING_NS: u64 = 10_000_000_000;

static SERVICE: Once<Option<Service>> = Once::new();
static CONFIGURED: WaitQueue = WaitQueue::new();

/// Never dropped.
struct Service {
    frames: &'static dyn Frames,
    inet: Lasting<Inet>,
    policy: Lasting<Policy>,
}

/// The network behind the machine's Ethernet device; `None` if it has none.
pub fn stack() -> Option<&'static dyn Stack> {
    let service = service()?;
    if !service.inet.lock().is_configured() {
        let until = machine::clock::monotonic_ns() + CONFIGURING_NS;
        CONFIGURED.wait_until(Some(until), || service.inet.lock().is_configured().then_some(()));
    }
    Some(service)
}

/// Is this an address of the machine's Ethernet interface? Connections to it are for [`crate::loopback()`]; nothing is set
/// up to answer this.
pub fn is_own_address(address: IpAddr) -> bool {
    SERVICE.get().and_then(Option::as_ref).is_some_and(|service| service.inet.lock().has_address(address))
}

fn service() -> Option<&'static Service> {
    let service = SERVICE.get_or_init(|| device::frames().map(Service::new)).as_ref()?;
    static REGISTERED: Once<()> = Once::new();
    REGISTERED.get_or_init(|| thread::register_poller(service));
    Some(service)
}

impl Service {
    fn new(frames: &'static dyn Frames) -> Self {
        let boot = machine::boot();
        let known = |address: [u8; 4]| Some(address).filter(|a| *a != [0; 4]);
        let network = Network {
            address: known(boot.network.address).map(|address| (address, boot.network.prefix as u8)),
            gateway: known(boot.network.gateway),
            name_server: known(boot.network.name_server),
        };
        let inet = Inet::new(world(frames), network, seed(&boot.seed));
        Self { frames, inet: lasting(inet), policy: lasting(Policy::of_sealed(machine::sealed::manifest())) }
    }

    /// EACCES unless the manifest allows it.
    fn allowed(&self, allows: impl FnOnce(&Policy) -> bool) -> Result<(), Error> {
        if allows(&self.policy.lock()) { Ok(()) } else { Err(EACCES) }
    }

    fn world(&self) -> World<'static> {
        world(self.frames)
    }
}

fn world(frames: &'static dyn Frames) -> World<'static> {
    World { frames, now: now(), memory: &memory::free_bytes }
}

fn now() -> Instant {
    Instant::from_micros(machine::clock::monotonic_ns() / 1000)
}

/// The boot's seed is others' as well: a seed of our own, from which theirs cannot be told.
fn seed(boot: &[u8; 32]) -> [u8; 32] {
    let mut random = Random::new(*boot);
    let mut seed = [0; 32];
    for word in seed.chunks_exact_mut(8) {
        word.copy_from_slice(&random.word().to_le_bytes());
    }
    seed
}

impl Poller for Service {
    fn poll(&self) -> bool {
        let mut inet = self.inet.lock();
        let before = inet.is_configured();
        let progress = inet.poll(self.world());
        let configured = inet.is_configured() && !before;
        drop(inet);
        if configured {
            CONFIGURED.wake_all();
        }
        progress
    }

    fn arm(&self) -> bool {
        self.inet.lock().arm(self.world())
    }

    fn deadline(&self) -> Option<u64> {
        let at = self.inet.lock().deadline()?;
        Some(at.micros().saturating_mul(1000))
    }
}

impl Stack for Service {
    fn open(&self, family: Family, kind: Kind) -> Result<SocketId, Error> {
        self.inet.lock().open_socket(family, kind)
    }

    fn bind(&self, socket: SocketId, address: SocketAddr) -> Result<(), Error> {
        let kind = self.inet.lock().kind(socket)?;
        self.allowed(|policy| policy.may_bind(kind.protocol(), address.port()))?;
        self.inet.lock().bind(socket, address)
    }

    fn listen(&self, socket: SocketId, backlog: u32) -> Result<(), Error> {
        let port = self.inet.lock().local(socket)?.port();
        self.allowed(|policy| policy.may_listen(Protocol::Tcp, port))?;
        self.inet.lock().listen(socket, backlog)
    }

    fn connect(&self, socket: SocketId, address: SocketAddr) -> Result<(), Error> {
        let kind = self.inet.lock().kind(socket)?;
        let disconnects = kind == Kind::Datagram && address.port() == 0 && address.ip().is_unspecified();
        self.allowed(|policy| disconnects || policy.may_connect(kind.protocol(), address))?;
        self.inet.lock().connect(self.world(), socket, address)
    }

    fn accept(&self, socket: SocketId) -> Result<(SocketId, SocketAddr), Error> {
        self.inet.lock().accept(socket)
    }

    fn send(&self, socket: SocketId, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize, Error> {
        self.send_with(socket, bytes, to, &Ancillary::default())
    }

    fn receive(&self, socket: SocketId, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        self.receive_with(socket, buffer, peek).map(|(received, _)| received)
    }

    fn send_with(
        &self,
        socket: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
        ancillary: &Ancillary,
    ) -> Result<usize, Error> {
        let mut inet = self.inet.lock();
        // A datagram to an address of its own: from a port that is open to strangers anybody may be answered.
        if let Some(to) = to.filter(|_| inet.kind(socket) == Ok(Kind::Datagram)) {
            let port = inet.local(socket)?.port();
            self.allowed(|policy| policy.may_listen(Protocol::Udp, port) || policy.may_connect(Protocol::Udp, to))?;
        }
        inet.send_with(self.world(), socket, bytes, to, ancillary)
    }

    fn receive_with(&self, socket: SocketId, buffer: &mut [u8], peek: bool) -> Result<(Received, Ancillary), Error> {
        self.inet.lock().receive_with(socket, buffer, peek)
    }

    fn shutdown(&self, socket: SocketId, how: How) -> Result<(), Error> {
        self.inet.lock().shutdown(self.world(), socket, how)
    }

    fn close(&self, socket: SocketId) {
        self.inet.lock().close(self.world(), socket);
    }

    fn local(&self, socket: SocketId) -> Result<SocketAddr, Error> {
        self.inet.lock().local(socket)
    }

    fn peer(&self, socket: SocketId) -> Result<SocketAddr, Error> {
        self.inet.lock().peer(socket)
    }

    fn set_option(&self, socket: SocketId, option: SocketOption, value: u32) -> Result<(), Error> {
        self.inet.lock().set_option(socket, option, value)
    }

    fn option(&self, socket: SocketId, option: SocketOption) -> Result<u32, Error> {
        self.inet.lock().option(self.world(), socket, option)
    }

    fn ready(&self, socket: SocketId) -> Ready {
        self.inet.lock().ready(socket)
    }

    fn available(&self, socket: SocketId) -> usize {
        self.inet.lock().available(socket)
    }

    fn addresses(&self, take: &mut dyn FnMut(IpAddr, u8)) {
        self.inet.lock().addresses(take);
    }

    fn watch(&self, socket: SocketId, watch: Option<Arc<dyn Watch>>) {
        self.inet.lock().watch(socket, watch);
    }

    fn resolve(&self, name: &str, family: Option<Family>, watch: Arc<dyn Watch>) -> Result<Box<dyn Resolved>, Error> {
        self.allowed(|policy| policy.may_resolve(name))?;
        let answer = self.inet.lock().resolve(self.world(), name, family, watch)?;
        Ok(Box::new(Name { name: String::from(name), answer }))
    }
}

/// A name on its way.
struct Name {
    name: String,
    answer: Answer,
}

impl Resolved for Name {
    fn take(&mut self) -> Option<Result<Vec<IpAddr>, Error>> {
        let answer = self.answer.lock().take()?;
        if let (Ok(addresses), Some(service)) = (&answer, SERVICE.get().and_then(Option::as_ref)) {
            service.policy.lock().learn(&self.name, addresses);
        }
        Some(answer)
    }

    fn name(&self) -> &String {
        &self.name
    }
}
