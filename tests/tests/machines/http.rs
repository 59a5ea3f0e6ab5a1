//! Enough of an HTTP/1.1 client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use ampoule_tests::machine::PATIENCE;
use anyhow::{Context, Result};

/// A keep-alive connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Client {
    /// Connects to a port of 127.0.0.1.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = connect(port)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks for a path.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        ask(self.stream.get_ref(), path)?;
        let mut line = String::new();
        self.stream.read_line(&mut line).context("no answer")?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("no answer of HTTP: {line:?}"))?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).context("the answer is cut short")?;
        Ok(Answer { status, body: String::from_utf8(body)? })
    }
}

/// Sends a request for a path.
pub(crate) fn ask(mut stream: &TcpStream, path: &str) -> Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).context("the request cannot be sent")
}

/// Has an answer come, or the beginning of one?
pub(crate) fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0; 1]).is_ok_and(|length| length > 0)
}

/// A connection to a port of 127.0.0.1, with an end to every wait.
pub(crate) fn connect(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
