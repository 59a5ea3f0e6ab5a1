//! Socket options.

use super::socket::{Body, Options};
use super::{Inet, World};
use crate::errno::{EINVAL, ENOPROTOOPT, ENOTCONN};
use device::{Error, SocketOption};

impl Inet {
    pub(super) fn set(&mut self, number: u32, option: SocketOption, value: u32) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        let within =
            |range: core::ops::RangeInclusive<u32>| if range.contains(&value) { Ok(value) } else { Err(EINVAL) };
        let options = &mut socket.options;
        match option {
            SocketOption::KeepAlive => options.keep_alive = value != 0,
            // Linux's limits (net/ipv4/tcp.h).
            SocketOption::KeepIdle => options.keep_idle = within(1..=32767)?,
            SocketOption::KeepInterval => options.keep_interval = within(1..=32767)?,
            SocketOption::KeepCount => options.keep_count = within(1..=127)?,
            SocketOption::Broadcast => options.broadcast = value != 0,
            SocketOption::HopLimit => options.hop_limit = within(1..=255)?,
            SocketOption::Linger => options.linger = value,
            SocketOption::OnlyV6 => options.only_v6 = value != 0,
            SocketOption::ReusePort => options.reuse_port = value != 0,
            SocketOption::UserTimeout => options.user_timeout = value,
            SocketOption::ReceiveBuffer => options.receive_buffer = value.max(1),
            SocketOption::SendBuffer => options.send_buffer = value.max(1),
            SocketOption::Class => options.class = within(0..=255)?,
            SocketOption::MtuDiscover => options.mtu_discover = within(0..=5)?,
            SocketOption::ReceiveJoined => options.joins = value != 0,
            // They are always told to whoever asks.
            SocketOption::ReceiveDestination | SocketOption::ReceiveClass => {}
            _ => return Err(ENOPROTOOPT),
        }
        socket.apply_options();
        // Its timers may be others now.
        self.touch(number);
        Ok(())
    }

    pub(super) fn get(&mut self, world: World<'_>, number: u32, option: SocketOption) -> Result<u32, Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        let Options {
            keep_alive,
            keep_idle,
            keep_interval,
            keep_count,
            broadcast,
            hop_limit,
            linger,
            only_v6,
            reuse_port,
            user_timeout,
            receive_buffer,
            send_buffer,
            class,
            mtu_discover,
            joins,
        } = socket.options;
        Ok(match option {
            SocketOption::KeepAlive => keep_alive.into(),
            SocketOption::KeepIdle => keep_idle,
            SocketOption::KeepInterval => keep_interval,
            SocketOption::KeepCount => keep_count,
            SocketOption::Broadcast => broadcast.into(),
            SocketOption::HopLimit => hop_limit,
            SocketOption::Linger => linger,
            SocketOption::OnlyV6 => only_v6.into(),
            SocketOption::ReusePort => reuse_port.into(),
            SocketOption::UserTimeout => user_timeout,
            SocketOption::ReceiveBuffer => receive_buffer,
            SocketOption::SendBuffer => send_buffer,
            SocketOption::Class => class,
            SocketOption::MtuDiscover => mtu_discover,
            SocketOption::ReceiveJoined => joins.into(),
            SocketOption::MaxSegment => socket.connection().ok_or(ENOPROTOOPT)?.tcb.segment_size() as u32,
            SocketOption::PathMtu => return self.path_mtu(world, number),
            SocketOption::Error => socket.error.take().map_or(0, |errno| errno as u32),
            _ => return Err(ENOPROTOOPT),
        })
    }

    /// `IP_MTU` (ip(7)): of the way to the peer.
    fn path_mtu(&self, world: World<'_>, number: u32) -> Result<u32, Error> {
        let peer = match self.sockets.get(number).map(|socket| &socket.body) {
            Some(Body::Connection(connection)) => Some(connection.remote),
            Some(Body::Datagram(datagram)) => datagram.peer,
            _ => None,
        };
        Ok(self.ip.mtu(world.now, peer.ok_or(ENOTCONN)?.ip()) as u32)
    }
}
