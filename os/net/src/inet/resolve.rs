//! Names (RFC 1035): a stub resolver that asks the configured servers in turn for IPv4 and IPv6 addresses.
//!
//! Each question goes out from a port of its own with numbers of its own, all unpredictable (RFC 5452). Both kinds of
//! addresses are asked for at once, by two messages, as every server understands it. An answer that does not fit a datagram
//! is asked for again by TCP (RFC 7766), of the server that said so.
//!
//! A server that says nothing is followed by the next one, and so is one that cannot tell, once it has said something of
//! both kinds: it may know the one and refuse the other. What one kind of address has found is given out once the other had
//! its time, whether it was heard of or not.

use super::socket::{Body, Datagram, Socket};
use super::{Inet, World};
use crate::dns::{self, Kind, Reply};
use crate::errno::{EINVAL, ENETUNREACH, ENOBUFS};
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::{Error, Family, Watch};
use sync::SpinLock;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a question is asked at least, over all servers; each is asked once.
const TRIES: usize = 4;
/// Questions under way at once.
const MOST: usize = 64;
const PORT: u16 = 53;
/// No such name, or no address for it (ENOENT).
const NO_SUCH_NAME: Error = Error::Errno(2);
/// No server answered (ETIMEDOUT).
const NO_ANSWER: Error = Error::Errno(crate::errno::ETIMEDOUT);

/// Where an answer appears.
pub(crate) type Answer = Arc<SpinLock<Option<Result<Vec<IpAddr>, Error>>>>;

#[derive(Default)]
pub(super) struct Resolver {
    questions: Vec<Question>,
}

struct Question {
    socket: u32,
    name: String,
    /// One for each kind of address. Of one that nobody wants it is known that there is none.
    parts: [Part; 2],
    tries: usize,
    due: Instant,
    answer: Answer,
    watch: Arc<dyn Watch>,
}

/// What is asked for one kind of address.
struct Part {
    kind: Kind,
    id: u16,
    /// The server's word, once it is known.
    found: Option<Vec<IpAddr>>,
    /// The server that is asked cannot tell.
    is_refused: bool,
    /// This server has an answer that is too long for a datagram.
    wanted: Option<IpAddr>,
    /// The stream on which it is asked, whether the question was sent, and what has come.
    stream: Option<u32>,
    is_sent: bool,
    bytes: Vec<u8>,
}

impl Question {
    /// Another server may know what this one has said that it cannot tell.
    #[inline(never)]
    fn go_on_if_refused(&mut self) {
        if self.parts.iter().all(|part| part.found.is_some() || part.is_refused) {
            self.due = Instant::ZERO;
        }
    }
}

impl Resolver {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.questions.iter().map(|q| q.due).min()
    }
}

impl Inet {
    /// Starts to look a name up, for addresses of one family or both; `watch` is told when the answer is there.
    pub(crate) fn resolve(
        &mut self,
        world: World<'_>,
        name: &str,
        family: Option<Family>,
        watch: Arc<dyn Watch>,
    ) -> Result<Answer, Error> {
        if !dns::is_name(name) {
            return Err(EINVAL);
        }
        if self.name_servers().is_empty() {
            return Err(ENETUNREACH);
        }
        if self.resolver.questions.len() >= MOST {
            return Err(ENOBUFS);
        }
        let datagram = Body::Datagram(Box::new(Datagram::new(true)));
        let socket = Socket::new(Family::V6, device::Kind::Datagram, datagram);
        let number = self.sockets.insert(socket).ok_or(ENOBUFS)?;
        let word = self.random.word();
        // The numbers are apart from each other, or one's answer could be the other's.
        let part = |kind, id, of| Part {
            kind,
            id,
            found: family.filter(|family| *family != of).map(|_| Vec::new()),
            is_refused: false,
            wanted: None,
            stream: None,
            is_sent: false,
            bytes: Vec::new(),
        };
        let four = part(Kind::A, word as u16 & !1, Family::V4);
        let six = part(Kind::Aaaa, (word >> 16) as u16 | 1, Family::V6);
        let answer = Answer::default();
        self.resolver.questions.push(Question {
            socket: number,
            name: String::from(name),
            parts: [four, six],
            tries: 0,
            due: world.now,
            answer: answer.clone(),
            watch,
        });
        self.resolve_due(world);
        Ok(answer)
    }

    /// Asks, asks again, and gives up; true if anything was due.
    pub(super) fn resolve_due(&mut self, world: World<'_>) -> bool {
        let mut any = false;
        for mut question in core::mem::take(&mut self.resolver.questions) {
            let mut is_known = true;
            let mut is_found = false;
            for number in 0..question.parts.len() {
                any |= self.carry_on(world, &mut question, number);
                let found = &question.parts[number].found;
                is_known &= found.is_some();
                is_found |= found.as_ref().is_some_and(|found| !found.is_empty());
            }
            let is_due = question.due <= world.now;
            any |= is_known || is_due;
            let is_over = is_found || question.tries >= TRIES.max(self.name_servers().len());
            if is_known || is_due && is_over {
                self.finish(world, question);
                continue;
            }
            if is_due {
                self.ask(world, &mut question);
            }
            self.resolver.questions.push(question);
        }
        any
    }

    fn ask(&mut self, world: World<'_>, question: &mut Question) {
        let servers = self.name_servers();
        let server = servers.get(question.tries % servers.len().max(1)).copied();
        question.tries += 1;
        question.due = world.now + PATIENCE;
        for part in question.parts.iter_mut().filter(|part| part.found.is_none()) {
            self.drop_stream(world, part);
            part.is_refused = false;
            if let Some(server) = server {
                let packet = dns::question(part.id, &question.name, part.kind);
                // What cannot be sent now is asked again later.
                let _ = self.send_datagram(world, question.socket, &packet, Some(SocketAddr::new(server, PORT)));
            }
        }
    }

    /// A datagram for a question's socket.
    pub(super) fn name_answered(&mut self, number: u32, from: SocketAddr, payload: &[u8]) {
        let servers = self.name_servers();
        if from.port() != PORT || !servers.contains(&from.ip()) {
            return;
        }
        let Some(question) = self.resolver.questions.iter_mut().find(|q| q.socket == number) else { return };
        for part in question.parts.iter_mut().filter(|part| part.found.is_none()) {
            match dns::reply(payload, part.id, &question.name, part.kind) {
                Reply::Unrelated => continue,
                Reply::Failed => part.is_refused = true,
                Reply::Truncated if part.stream.is_none() => part.wanted = Some(from.ip()),
                Reply::Truncated => {}
                Reply::Addresses(addresses) => part.found = Some(addresses),
            }
            question.go_on_if_refused();
            return;
        }
    }

    /// Lets the stream of a question go on: connects it, sends the question, takes the answer (RFC 1035 §4.2.2: two bytes of
    /// length before each). Where it ends without an answer, the next server is due. True if anything came of it.
    fn carry_on(&mut self, world: World<'_>, question: &mut Question, number: usize) -> bool {
        let part = &mut question.parts[number];
        if let Some(server) = part.wanted.take() {
            // The server has answered, and now has its time once more.
            question.due = world.now + PATIENCE;
            part.stream = self.open_stream(world, server);
            return true;
        }
        let Some(stream) = part.stream else { return false };
        let mut is_over = false;
        if !part.is_sent {
            let message = dns::question(part.id, &question.name, part.kind);
            let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
            // It is far shorter than any room that a connection has.
            match self.send_stream(world, stream, &framed) {
                Err(Error::WouldBlock) => {}
                sent => (part.is_sent, is_over) = (true, sent.is_err()),
            }
        }
        let mut buffer = [0; 512];
        while part.is_sent && !is_over {
            match self.receive_stream(stream, &mut buffer, false) {
                Ok(got) if got.length > 0 && part.bytes.try_reserve(got.length).is_ok() => {
                    part.bytes.extend_from_slice(&buffer[..got.length]);
                    is_over = whole(&part.bytes).is_some();
                }
                Err(Error::WouldBlock) => break,
                _ => is_over = true,
            }
        }
        if is_over {
            let message = whole(&part.bytes).unwrap_or_default();
            match dns::reply(message, part.id, &question.name, part.kind) {
                Reply::Addresses(addresses) => part.found = Some(addresses),
                _ => part.is_refused = true,
            }
            self.drop_stream(world, part);
            question.go_on_if_refused();
        }
        is_over
    }

    fn open_stream(&mut self, world: World<'_>, server: IpAddr) -> Option<u32> {
        let family = if server.is_ipv4() { Family::V4 } else { Family::V6 };
        let number = self.sockets.insert(Socket::new(family, device::Kind::Stream, Body::Idle))?;
        match self.connect_stream(world, number, SocketAddr::new(server, PORT)) {
            Err(Error::InProgress) => Some(number),
            _ => {
                self.discard(number);
                None
            }
        }
    }

    #[inline(never)]
    fn drop_stream(&mut self, world: World<'_>, part: &mut Part) {
        (part.wanted, part.is_sent, part.bytes) = (None, false, Vec::new());
        if let Some(stream) = part.stream.take() {
            self.close_stream(world, stream);
        }
    }

    #[inline(never)]
    fn preference(&self, address: IpAddr) -> u8 {
        preference(self.ip.source(address).filter(|_| self.ip.reaches(address)), address)
    }

    fn finish(&mut self, world: World<'_>, mut question: Question) {
        let is_known = question.parts.iter().all(|part| part.found.is_some());
        let mut addresses: Vec<IpAddr> = Vec::new();
        for part in &mut question.parts {
            self.drop_stream(world, part);
            for address in part.found.take().unwrap_or_default() {
                let is_before = |known: &&IpAddr| self.preference(**known) <= self.preference(address);
                let at = addresses.iter().take_while(is_before).count();
                addresses.insert(at, address);
            }
        }
        *question.answer.lock() = Some(match is_known {
            _ if !addresses.is_empty() => Ok(addresses),
            true => Err(NO_SUCH_NAME),
            false => Err(NO_ANSWER),
        });
        self.discard(question.socket);
        question.watch.changed();
    }
}

/// The message behind its length, once all of it has come.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// What is less is to be tried first (RFC 6724 §6, as far as one interface goes): rule 1, what can be reached, so that there
/// is a source; rules 2 and 5, what lies where the source does; rule 6, IPv6 before IPv4, and that before what is local.
pub(super) fn preference(source: Option<IpAddr>, address: IpAddr) -> u8 {
    let is_elsewhere = source.is_some_and(|source| realm(source) != realm(address));
    let rules = [source.is_none(), is_elsewhere, realm(address) != 0, address.is_ipv4()];
    rules.into_iter().fold(0, |sum, rule| sum << 1 | u8::from(rule))
}

/// Where an address has a meaning: everywhere, in one place (fc00::/7, RFC 4193; fec0::/10, RFC 3879), on its link.
fn realm(address: IpAddr) -> u8 {
    match address {
        IpAddr::V6(v6) if v6.is_unique_local() => 1,
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfec0 => 2,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 3,
        _ => 0,
    }
}
