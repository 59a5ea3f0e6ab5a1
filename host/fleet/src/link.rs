//! What the three processes of a machine say to each other: JSON, one message a line, over a socket pair.
//!
//! The younger process finds its end as standard input. It takes it from there and puts /dev/null in its place, so that a
//! detached machine has nothing to read and inherits nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Port;

/// Bytes of a message; whoever sends more is not one of us.
const MESSAGE_MAX: usize = 4 << 20;
/// How long a peer may keep us waiting that does not read.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a runner tells its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The image is good, and its machine starts now.
    Running {
        /// What runs it.
        backend: String,
        /// The image's digest.
        digest: String,
    },
    /// A port of the machine's can be reached.
    Listening(Port),
    /// Somebody else has the host's port.
    Refused {
        /// The port.
        port: Port,
        /// What to tell the operator.
        text: String,
    },
    /// What the machine died of.
    Report(String),
}

/// One end.
#[derive(Debug)]
pub(crate) struct Link {
    stream: UnixStream,
    buffer: Vec<u8>,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got<T> {
    Message(T),
    /// Nothing yet.
    Nothing,
    /// The other end is closed.
    End,
}

impl Link {
    /// A link, and what the other process gets as its standard input.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::over(ours)?, theirs.into()))
    }

    /// The other end, in the process that was started with it.
    pub(crate) fn from_stdin() -> io::Result<Self> {
        let socket = rustix::stdio::stdin().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Self::over(socket.into())
    }

    fn over(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends a message.
    pub(crate) fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        // By write(2), not send(2): a runner that has locked itself in needs that for its standard error as well.
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(&self.stream, rest) {
                Ok(length) => rest = rest.get(length..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next message; waits for it.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        self.stream.set_nonblocking(false)?;
        match self.next()? {
            Got::Message(message) => Ok(message),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The next message if there is one; does not wait.
    pub(crate) fn poll<T: DeserializeOwned>(&mut self) -> Got<T> {
        match self.stream.set_nonblocking(true).and_then(|()| self.next()) {
            Ok(got) => got,
            Err(_) => Got::End,
        }
    }

    fn next<T: DeserializeOwned>(&mut self) -> io::Result<Got<T>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Got::Message(serde_json::from_slice(&line)?));
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(Got::End),
                Ok(_) if self.buffer.len() > MESSAGE_MAX => return Err(ErrorKind::InvalidData.into()),
                Ok(length) => self.buffer.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Got::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (mut ours, theirs) = Link::pair().expect("a pair");
        let mut theirs = Link::over(theirs.into()).expect("the other end");
        assert_eq!(theirs.poll::<Event>(), Got::Nothing);
        let long = Event::Report("a line\nand another ".repeat(1000));
        let sent = [Event::Report(String::new()), long, Event::Running { backend: "kvm".into(), digest: "0".into() }];
        sent.iter().for_each(|event| ours.send(event).expect("sent"));
        drop(ours);
        assert_eq!(theirs.receive::<Event>().expect("the first"), sent[0]);
        assert_eq!(theirs.poll(), Got::Message(sent[1].clone()));
        assert_eq!(theirs.poll(), Got::Message(sent[2].clone()));
        assert_eq!(theirs.poll::<Event>(), Got::End);
    }

    #[test]
    fn nonsense_ends_a_link() {
        let (ours, theirs) = Link::pair().expect("a pair");
        let mut theirs = Link::over(theirs.into()).expect("the other end");
        rustix::io::write(&ours.stream, b"{\"Unheard\":1}\n").expect("sent");
        assert_eq!(theirs.poll::<Event>(), Got::End);
    }
}
