//! A guest that connects outward, and the host that it talks to: what comes goes back, by TCP and by UDP.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::{Machine, PATIENCE};
use ampoule_tests::{ports, tool};
use anyhow::Result;

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    Backend::ALL.into_iter().map(|backend| Case::new(format!("outward sockets on {backend}"), move || outward(backend)))
}

fn outward(backend: Backend) -> Result<Verdict> {
    if let Some(reason) = backend.lacks() {
        return Ok(Verdict::Skipped(reason));
    }
    // In a machine 127.0.0.1 is the machine itself. QEMU's own network has the host's at another address.
    let host = match backend.has_frames() {
        true => IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2)),
        false => match own_address() {
            Some(address) => address,
            None => return Ok(Verdict::Skipped("this host has no address but the loopback's".to_owned())),
        },
    };
    let stream_port = echo_streams()?.to_string();
    let datagram_port = echo_datagrams()?.to_string();
    let arguments =
        ["--publish", "0:7000", "--", &host.to_string(), &stream_port, &datagram_port, &ports::free_tcp()?.to_string()];
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/peer", &[], &abort)?;
    Machine::start(&image, backend, &arguments)?.end()?.with_status(0)?.with_text(&["the host answers"])?;
    Ok(Verdict::Passed)
}

/// The address that packets to the world would have. Connecting a datagram socket sends none.
pub(crate) fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Serves for as long as the tests run.
fn echo_streams() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || echo(stream));
        }
    });
    Ok(port)
}

fn echo(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; 65536];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => stream.write_all(&buffer[..count])?,
        }
    }
    Ok(stream.shutdown(Shutdown::Write)?)
}

fn echo_datagrams() -> Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = socket.local_addr()?.port();
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            _ = socket.send_to(&buffer[..count], from);
        }
    });
    Ok(port)
}
