//! Socket options.

use super::Inet;
use super::socket::Options;
use crate::errno::{EINVAL, ENOPROTOOPT};
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
            _ => return Err(ENOPROTOOPT),
        }
        socket.apply_keep_alive();
        Ok(())
    }

    pub(super) fn get(&mut self, number: u32, option: SocketOption) -> Result<u32, Error> {
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
            SocketOption::Error => socket.error.take().map_or(0, |errno| errno as u32),
            _ => return Err(ENOPROTOOPT),
        })
    }
}
