//! Socket options of the host's sockets.

use super::system;
use abi::hostnet::SocketOption;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// All that a machine may ask for.
pub(super) const ALL: [SocketOption; 20] = {
    use SocketOption::*;
    [
        KeepAlive,
        KeepIdle,
        KeepInterval,
        KeepCount,
        Broadcast,
        HopLimit,
        Linger,
        OnlyV6,
        Error,
        ReusePort,
        ReceiveDestination,
        ReceiveClass,
        ReceiveJoined,
        Class,
        MtuDiscover,
        MaxSegment,
        UserTimeout,
        ReceiveBuffer,
        SendBuffer,
        PathMtu,
    ]
};

fn is_v6(socket: &OwnedFd) -> Result<bool, Errno> {
    Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?)?.is_ipv6())
}

/// Level and name of an option that is handed through as the number it is.
fn plain(socket: &OwnedFd, option: SocketOption) -> Result<Option<(i32, i32)>, Errno> {
    let of_ip = |v4, v6| Ok(Some(if is_v6(socket)? { (libc::IPPROTO_IPV6, v6) } else { (libc::IPPROTO_IP, v4) }));
    match option {
        SocketOption::ReceiveDestination => of_ip(libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO),
        SocketOption::ReceiveClass => of_ip(libc::IP_RECVTOS, libc::IPV6_RECVTCLASS),
        SocketOption::Class => of_ip(libc::IP_TOS, libc::IPV6_TCLASS),
        SocketOption::MtuDiscover => of_ip(libc::IP_MTU_DISCOVER, libc::IPV6_MTU_DISCOVER),
        SocketOption::ReceiveJoined => Ok(Some((libc::SOL_UDP, libc::UDP_GRO))),
        SocketOption::UserTimeout => Ok(Some((libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT))),
        SocketOption::MaxSegment => Ok(Some((libc::IPPROTO_TCP, libc::TCP_MAXSEG))),
        SocketOption::PathMtu => of_ip(libc::IP_MTU, libc::IPV6_MTU),
        // The kernel doubles these, and says so; the library OS says it to the program by itself.
        SocketOption::ReceiveBuffer => Ok(Some((libc::SOL_SOCKET, libc::SO_RCVBUF))),
        SocketOption::SendBuffer => Ok(Some((libc::SOL_SOCKET, libc::SO_SNDBUF))),
        _ => Ok(None),
    }
}

/// Sets an option of a socket that exists.
pub(super) fn set(socket: &OwnedFd, option: SocketOption, value: u32) -> Result<(), Errno> {
    if let Some((level, name)) = plain(socket, option)? {
        return system::set(socket, level, name, value);
    }
    let v6 = is_v6(socket)?;
    let seconds = Duration::from_secs(u64::from(value));
    match option {
        SocketOption::KeepAlive => sockopt::set_socket_keepalive(socket, value != 0),
        SocketOption::KeepIdle => sockopt::set_tcp_keepidle(socket, seconds),
        SocketOption::KeepInterval => sockopt::set_tcp_keepintvl(socket, seconds),
        SocketOption::KeepCount => sockopt::set_tcp_keepcnt(socket, value),
        SocketOption::Broadcast => sockopt::set_socket_broadcast(socket, value != 0),
        SocketOption::HopLimit if v6 => sockopt::set_ipv6_unicast_hops(socket, u8::try_from(value).ok()),
        SocketOption::HopLimit => sockopt::set_ip_ttl(socket, value),
        SocketOption::Linger => {
            sockopt::set_socket_linger(socket, value.checked_sub(1).map(|s| Duration::from_secs(u64::from(s))))
        }
        // An IPv4 socket stands for an IPv6 one here only where that is what the peer or the port wants.
        SocketOption::OnlyV6 if v6 => sockopt::set_ipv6_v6only(socket, value != 0),
        SocketOption::OnlyV6 => Ok(()),
        SocketOption::ReusePort => sockopt::set_socket_reuseport(socket, value != 0),
        _ => Err(Errno::NOPROTOOPT),
    }
}

/// Gets an option of a socket that exists.
pub(super) fn get(socket: &OwnedFd, option: SocketOption) -> Result<u32, Errno> {
    if let Some((level, name)) = plain(socket, option)? {
        return system::get(socket, level, name);
    }
    let v6 = is_v6(socket)?;
    let seconds = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
    Ok(match option {
        SocketOption::KeepAlive => sockopt::socket_keepalive(socket)?.into(),
        SocketOption::KeepIdle => seconds(sockopt::tcp_keepidle(socket)?),
        SocketOption::KeepInterval => seconds(sockopt::tcp_keepintvl(socket)?),
        SocketOption::KeepCount => sockopt::tcp_keepcnt(socket)?,
        SocketOption::Broadcast => sockopt::socket_broadcast(socket)?.into(),
        SocketOption::HopLimit if v6 => sockopt::ipv6_unicast_hops(socket)?.into(),
        SocketOption::HopLimit => sockopt::ip_ttl(socket)?,
        SocketOption::Linger => sockopt::socket_linger(socket)?.map_or(0, |d| seconds(d).saturating_add(1)),
        SocketOption::OnlyV6 if v6 => sockopt::ipv6_v6only(socket)?.into(),
        SocketOption::OnlyV6 => 0,
        SocketOption::ReusePort => sockopt::socket_reuseport(socket)?.into(),
        SocketOption::Error => sockopt::socket_error(socket)?.map_or(0, |()| 0),
        _ => return Err(Errno::NOPROTOOPT),
    })
}
