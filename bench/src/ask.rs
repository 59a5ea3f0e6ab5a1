//! One question to a server, and waiting until one is answered.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between a question without an answer and the next.
const PAUSE: Duration = Duration::from_millis(20);

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.1.
    Http,
    /// What `bench/programs/bulk` does.
    Tcp,
    /// Datagrams that come back.
    Udp,
}

impl Kind {
    /// By its word on the command line.
    pub fn of(word: &str) -> Option<Self> {
        [Kind::Http, Kind::Tcp, Kind::Udp].into_iter().find(|kind| kind.word() == word)
    }

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Http => "http",
            Kind::Tcp => "tcp",
            Kind::Udp => "udp",
        }
    }
}

/// Asks until there is an answer, for at most so long.
pub fn wait(kind: Kind, server: SocketAddr, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let asked = match kind {
            Kind::Http => get(server),
            Kind::Tcp => byte(server),
            Kind::Udp => datagram(server),
        };
        match asked {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("no answer within {} s", patience.as_secs()));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// One request on a connection of its own.
pub fn get(server: SocketAddr) -> Result<()> {
    let mut stream = connect(server)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if &answer != b"HTTP/1.1 200" {
        bail!("the server answered {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

/// One byte there and back, as [`crate::bulk`] has it.
fn byte(server: SocketAddr) -> Result<()> {
    let mut stream = connect(server)?;
    stream.write_all(b"ex")?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if &answer == b"x" { Ok(()) } else { bail!("another byte came back than was sent") }
}

fn datagram(server: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.send(b"ready?")?;
    let mut answer = [0; 16];
    let length = socket.recv(&mut answer)?;
    if &answer[..length] == b"ready?" { Ok(()) } else { bail!("another datagram came back than was sent") }
}

fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_wrong_answer_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.local_addr().expect("an address");
        let answers = thread::spawn(move || {
            for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
                let (mut stream, _) = listener.accept().expect("a client");
                let _ = stream.read(&mut [0; 1024]);
                stream.write_all(answer.as_bytes()).expect("sent");
            }
        });
        assert!(get(server).is_err_and(|error| error.to_string().contains("404")));
        wait(Kind::Http, server, PATIENCE).expect("the second is right");
        answers.join().expect("no panic");
        let nobody = wait(Kind::Http, server, Duration::ZERO).expect_err("nobody listens any more");
        assert!(nobody.to_string().contains("within 0 s"), "{nobody}");
    }
}
