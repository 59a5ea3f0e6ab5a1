//! The parent: serves what the child may not do itself, passes signals on, and sees the machine to its end.

use super::message::{Head, Kind, MESSAGE_MAX};
use super::os::{self, Child, Fate, Got, Signals};
use super::signals::NUDGE;
use crate::backtrace::Debug;
use crate::jail::Jail;
use crate::sockets::{HostSockets, Lookup};
use crate::timeline::Mark;
use crate::{Attach, Error, Notice, Options, Outcome, Program};
use abi::gate::BACKTRACE_MAX;
use abi::hostnet::{Address, Operation, Request, Response, SendHeader};
use abi::manifest::Policy;
use abi::vcpu::{EVENT_INTERRUPT, EVENT_STOP};
use host_device::{bytes_of, value_of};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Look-ups that the child may have under way; it asks for no more.
const LOOKUPS_MAX: usize = host_device::hostnet::LOOKUPS;

/// The machine's other half.
pub(crate) struct Parent<'a> {
    options: &'a Options,
    digest: [u8; 32],
    child: Child,
    control: OwnedFd,
    /// The child has closed its end.
    hung_up: bool,
    signals: Signals,
    /// `None`: the manifest gives no network.
    sockets: Option<HostSockets>,
    lookups: HashMap<u32, Lookup>,
    /// Those that have ended, until the child takes them.
    looked_up: HashMap<u32, Result<Vec<Address>, Errno>>,
    /// A first signal was passed on; the next one ends the machine.
    asked_to_stop: bool,
    report: Option<String>,
    /// Why KVM could not be used, if that is so.
    no_kvm: Option<String>,
    /// The image's debug file, open already: later no file can be opened any more.
    debug: Option<Debug>,
    /// What to tell once the machine is made, if gdb is to attach to its process.
    attach: Option<Attach>,
    /// To be entered when the machine is made; until then the tool may have to try another way.
    jail: Option<Jail>,
}

impl<'a> Parent<'a> {
    pub(crate) fn new(
        program: &Program<'_>,
        options: &'a Options,
        child: Child,
        control: OwnedFd,
        signals: Signals,
        attach: Option<Attach>,
    ) -> Self {
        let network = program.manifest.network.clone();
        let rules = network.map(|network| Policy::new(network, program.manifest.names.as_ref()));
        let sockets = rules.map(|rules| HostSockets::new(rules, options.publish.clone(), options.notify));
        Self {
            options,
            digest: program.header.digest,
            child,
            control,
            hung_up: false,
            signals,
            sockets,
            lookups: HashMap::new(),
            looked_up: HashMap::new(),
            asked_to_stop: false,
            report: None,
            no_kvm: None,
            debug: options.debug.as_deref().map(Debug::open),
            attach,
            jail: Some(Jail::new(program.manifest, &options.publish)),
        }
    }

    /// Stays with the machine until it ends.
    pub(crate) fn stay(mut self) -> Result<Outcome, Error> {
        let mut buffer = vec![0; MESSAGE_MAX];
        loop {
            let mut watched = vec![self.child.handle.as_fd(), self.signals.handle.as_fd()];
            // Hung up it would be ready for ever, and the child has not ended before KVM has given its memory back.
            if !self.hung_up {
                watched.push(self.control.as_fd());
            }
            watched.extend(self.lookups.values().filter_map(Lookup::handle));
            let ready = os::poll(&watched, self.options.preempt_ns);
            if self.options.preempt_ns.is_some() {
                self.child.signal(NUDGE);
            }
            while let Some(signal) = self.signals.next() {
                if let Some(outcome) = self.pass_on(signal)? {
                    return Ok(outcome);
                }
            }
            self.listen(&mut buffer)?;
            self.end_lookups();
            if let (Some(timeline), Some(sockets)) = (self.options.timeline, &self.sockets)
                && sockets.has_listened()
            {
                timeline.mark(Mark::Listening);
            }
            if ready.first() == Some(&true) {
                let fate = self.child.wait()?;
                self.listen(&mut buffer)?;
                return self.outcome(fate);
            }
        }
    }

    /// The first signal is the guest's; the second one ends the machine.
    fn pass_on(&mut self, signal: i32) -> Result<Option<Outcome>, Error> {
        if self.asked_to_stop {
            self.child.signal(libc::SIGKILL);
            self.child.wait()?;
            return Ok(Some(Outcome { status: 128 + signal as u8, report: None }));
        }
        self.asked_to_stop = true;
        let bit = if signal == libc::SIGINT { EVENT_INTERRUPT } else { EVENT_STOP };
        let head = Head { value: (bit >> 32) as u32, ..Head::new(Kind::Events) };
        os::send(self.control.as_fd(), &[&head.bytes()], None);
        // It may be busy in the program: a slice brings it to its scheduler.
        self.child.signal(NUDGE);
        Ok(None)
    }

    /// Deals with everything that the child has said.
    fn listen(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        loop {
            let length = match os::receive(self.control.as_fd(), buffer) {
                Got::Message(length) => length,
                Got::Nothing => return Ok(()),
                Got::End if os::has_hung_up(self.control.as_fd()) => {
                    self.hung_up = true;
                    return Ok(());
                }
                // An empty message looks the same; it makes no sense.
                Got::End => continue,
            };
            let Some((head, body)) = buffer.get(..length).and_then(Head::split) else { continue };
            match Kind::of(head.kind) {
                // Before anything that the guest may have had a hand in.
                Some(Kind::Started) => self.started()?,
                _ => self.hear(head, body),
            }
        }
    }

    fn started(&mut self) -> Result<(), Error> {
        if let (Some(attach), Some(notify)) = (self.attach.take(), self.options.notify) {
            notify(&Notice::Debugger(attach));
        }
        self.jail.take().map_or(Ok(()), |jail| jail.enter())
    }

    fn hear(&mut self, head: Head, body: &[u8]) {
        match Kind::of(head.kind) {
            Some(Kind::Report) => {
                let text = String::from_utf8_lossy(body).into_owned();
                eprintln!("ampoule: the machine ended: {text}");
                self.report = Some(text);
            }
            // From a machine that is made it would be a lie, and have the tool try another way from inside its jail.
            Some(Kind::NoKvm) if self.jail.is_some() => self.no_kvm = Some(String::from_utf8_lossy(body).into_owned()),
            Some(Kind::Backtrace) => {
                let frames: Vec<u64> = body
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .take(BACKTRACE_MAX as usize)
                    .map(|f| u64::from_le_bytes(*f))
                    .collect();
                let base = u64::from(head.value) << 32 | u64::from(head.socket);
                eprint!("{}", crate::backtrace::render(&frames, base, &self.digest, self.debug.as_ref()));
                self.say(Head::new(Kind::Done), &[], None);
            }
            Some(Kind::Request) => self.request(head, body),
            Some(Kind::SendTo) => self.send_to(head, body),
            Some(Kind::TakeLookup) => self.take_lookup(head.socket),
            // The rest is ours to say.
            _ => {}
        }
    }

    fn request(&mut self, head: Head, body: &[u8]) {
        let Some(request) = value_of::<Request>(body) else { return self.refuse(Errno::INVAL) };
        if request.operation == Operation::Resolve as u32 {
            let name = body.get(size_of::<Request>()..).unwrap_or_default();
            let status = self.look_up(head.socket, name).map_or_else(|errno| -errno.raw_os_error(), |()| 0);
            return self.respond(&Response { status, ..Response::default() }, None);
        }
        let accepted = match i32::try_from(head.value) {
            Ok(descriptor) => match os::descriptor_of(&self.child, descriptor) {
                Ok(descriptor) => Some(descriptor),
                Err(errno) => return self.refuse(errno),
            },
            Err(_) => None,
        };
        let Some(sockets) = &mut self.sockets else { return self.refuse(Errno::ACCESS) };
        let answer = sockets.request(&request, accepted.as_ref());
        let head = Head::new(Kind::Response).bytes();
        os::send(self.control.as_fd(), &[&head, bytes_of(&answer.response)], answer.descriptor);
    }

    fn send_to(&mut self, head: Head, body: &[u8]) {
        let (Some(header), Some(sockets)) = (value_of::<SendHeader>(body), &mut self.sockets) else { return };
        let answer = sockets.send_to(&header, body.get(size_of::<SendHeader>()..).unwrap_or_default());
        // Where no answer is waited for, a descriptor cannot come to exist either.
        if head.status != 0 {
            let head = Head::new(Kind::Response).bytes();
            os::send(self.control.as_fd(), &[&head, bytes_of(&answer.response)], answer.descriptor);
        }
    }

    fn look_up(&mut self, token: u32, name: &[u8]) -> Result<(), Errno> {
        let sockets = self.sockets.as_ref().ok_or(Errno::ACCESS)?;
        // Those that have ended count until they are taken, so that a child that takes none fills no memory.
        if self.lookups.len() + self.looked_up.len() >= LOOKUPS_MAX || self.lookups.contains_key(&token) {
            return Err(Errno::NOBUFS);
        }
        self.lookups.insert(token, sockets.look_up(name)?);
        Ok(())
    }

    /// Tells the child of look-ups that have ended.
    fn end_lookups(&mut self) {
        let ended: Vec<_> =
            self.lookups.iter_mut().filter_map(|(token, lookup)| Some((*token, lookup.poll()?))).collect();
        for (token, result) in ended {
            if let (Some(lookup), Some(sockets), Ok(addresses)) =
                (self.lookups.remove(&token), &mut self.sockets, &result)
            {
                sockets.learn(lookup.name(), addresses);
            }
            self.looked_up.insert(token, result);
            self.say(Head { socket: token, ..Head::new(Kind::Resolved) }, &[], None);
        }
    }

    fn take_lookup(&mut self, token: u32) {
        let result = self.looked_up.remove(&token).unwrap_or(Err(Errno::INVAL));
        let status = result.as_ref().map_or_else(|errno| -errno.raw_os_error(), |_| 0);
        let body: Vec<u8> = result.unwrap_or_default().iter().flat_map(bytes_of).copied().collect();
        self.say(Head { status, ..Head::new(Kind::Done) }, &body, None);
    }

    fn refuse(&self, errno: Errno) {
        self.respond(&Response { status: -errno.raw_os_error(), ..Response::default() }, None);
    }

    fn respond(&self, response: &Response, descriptor: Option<BorrowedFd<'_>>) {
        self.say(Head::new(Kind::Response), bytes_of(response), descriptor);
    }

    fn say(&self, head: Head, body: &[u8], descriptor: Option<BorrowedFd<'_>>) {
        os::send(self.control.as_fd(), &[&head.bytes(), body], descriptor);
    }

    fn outcome(&mut self, fate: Fate) -> Result<Outcome, Error> {
        if let (Some(why), Fate::Exited(os::UNABLE)) = (self.no_kvm.take(), fate) {
            return Err(Error::NoKvm(why));
        }
        Ok(match fate {
            Fate::Exited(status) => Outcome { status, report: self.report.take() },
            Fate::Killed(signal) => {
                let report = self.report.take().unwrap_or_else(|| {
                    let text = killed(signal);
                    eprintln!("ampoule: the machine ended: {text}");
                    text
                });
                Outcome { status: (128 + signal) as u8, report: Some(report) }
            }
        })
    }
}

fn killed(signal: i32) -> String {
    match signal {
        libc::SIGSYS => "it made a system call that its manifest does not give it".into(),
        libc::SIGKILL => "it was killed from outside (by an operator, or by the host running out of memory)".into(),
        _ => format!("signal {signal} killed it"),
    }
}
