//! Names (RFC 1035): a stub resolver that asks the configured servers in turn for IPv4 addresses.
//!
//! Each question goes out from a port of its own with a number of its own, both unpredictable (RFC 5452). Only addresses
//! in the answer section count; a recursive server puts those of an alias's target there as well. IPv6 addresses are not
//! asked for.

use super::socket::{Body, Datagram, Socket};
use super::{Inet, World};
use crate::dns::{self, Reply};
use crate::errno::{EINVAL, ENETUNREACH, ENOBUFS};
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::{Error, Family, Kind, Watch};
use sync::SpinLock;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a question is asked, over all servers.
const TRIES: u32 = 4;
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
    id: u16,
    name: String,
    tries: u32,
    due: Instant,
    answer: Answer,
    watch: Arc<dyn Watch>,
}

impl Resolver {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.questions.iter().map(|q| q.due).min()
    }
}

impl Inet {
    /// Starts to look a name up; `watch` is told when the answer is there.
    pub(crate) fn resolve(&mut self, world: World<'_>, name: &str, watch: Arc<dyn Watch>) -> Result<Answer, Error> {
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
        let number = self.sockets.insert(Socket::new(Family::V6, Kind::Datagram, datagram)).ok_or(ENOBUFS)?;
        let answer = Answer::default();
        self.resolver.questions.push(Question {
            socket: number,
            id: self.random.word() as u16,
            name: String::from(name),
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
        let mut at = 0;
        while at < self.resolver.questions.len() {
            if self.resolver.questions[at].due > world.now {
                at += 1;
                continue;
            }
            any = true;
            if self.resolver.questions[at].tries == TRIES {
                let question = self.resolver.questions.swap_remove(at);
                self.finish(question, Err(NO_ANSWER));
                continue;
            }
            self.ask(world, at);
            at += 1;
        }
        any
    }

    fn ask(&mut self, world: World<'_>, at: usize) {
        let servers = self.name_servers();
        let question = &mut self.resolver.questions[at];
        let server = servers.get(question.tries as usize % servers.len().max(1)).copied();
        question.tries += 1;
        question.due = world.now + PATIENCE;
        let (number, packet) = (question.socket, dns::question(question.id, &question.name));
        if let Some(server) = server {
            // What cannot be sent now is asked again later.
            let _ = self.send_datagram(world, number, &packet, Some(SocketAddr::new(server, PORT)));
        }
    }

    /// A datagram for a question's socket.
    pub(super) fn name_answered(&mut self, number: u32, from: SocketAddr, payload: &[u8]) {
        let servers = self.name_servers();
        if from.port() != PORT || !servers.contains(&from.ip()) {
            return;
        }
        let Some(at) = self.resolver.questions.iter().position(|q| q.socket == number) else { return };
        let question = &self.resolver.questions[at];
        let result = match dns::reply(payload, question.id, &question.name) {
            Reply::Unrelated => return,
            // Another server may know.
            Reply::Failed if question.tries < TRIES => {
                self.resolver.questions[at].due = Instant::ZERO;
                return;
            }
            Reply::Failed => Err(NO_ANSWER),
            Reply::Addresses(addresses) if addresses.is_empty() => Err(NO_SUCH_NAME),
            Reply::Addresses(addresses) => Ok(addresses),
        };
        let question = self.resolver.questions.swap_remove(at);
        self.finish(question, result);
    }

    fn finish(&mut self, question: Question, result: Result<Vec<IpAddr>, Error>) {
        *question.answer.lock() = Some(result);
        self.discard(question.socket);
        question.watch.changed();
    }
}
