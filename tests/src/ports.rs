//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::Result;

/// A TCP port of 127.0.0.1 that was free just now. The system hands them out in turn, so it stays free for a while.
pub fn free_tcp() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A UDP port of 127.0.0.1 that was free just now.
pub fn free_udp() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
