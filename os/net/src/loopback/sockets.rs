//! The sockets by number, in the order of their numbers. There are few: a map of any other kind would be more code in the
//! image than the rest of this stack.

use super::table::Socket;
use alloc::boxed::Box;
use alloc::vec::Vec;
use device::SocketId;

pub(super) struct Sockets {
    /// Ascending by number. Boxed, so that little moves when one leaves the middle.
    entries: Vec<(u32, Box<Socket>)>,
    last: u32,
}

impl Sockets {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), last: 0 }
    }

    fn find(&self, id: SocketId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id.0, |entry| entry.0)
    }

    /// Puts a socket in. A number comes again only after 2³² sockets, and never while it is in use.
    pub(super) fn insert(&mut self, socket: Socket) -> SocketId {
        loop {
            self.last = self.last.wrapping_add(1);
            if let Err(at) = self.find(SocketId(self.last)) {
                self.entries.insert(at, (self.last, Box::new(socket)));
                return SocketId(self.last);
            }
        }
    }

    pub(super) fn remove(&mut self, id: SocketId) -> Option<Socket> {
        let at = self.find(id).ok()?;
        Some(*self.entries.remove(at).1)
    }

    pub(super) fn get(&self, id: SocketId) -> Option<&Socket> {
        self.entries.get(self.find(id).ok()?).map(|entry| &*entry.1)
    }

    pub(super) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        let at = self.find(id).ok()?;
        self.entries.get_mut(at).map(|entry| &mut *entry.1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketId, &Socket)> {
        self.entries.iter().map(|entry| (SocketId(entry.0), &*entry.1))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Socket> {
        self.entries.iter_mut().map(|entry| &mut *entry.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loopback::datagram::Datagram;
    use crate::loopback::table::Body;
    use device::Family;

    fn socket() -> Socket {
        Socket::new(Family::V4, Body::Datagram(Datagram::default()))
    }

    #[test]
    fn numbers_in_use_are_passed_over_when_they_come_again() {
        let mut sockets = Sockets::new();
        let (first, second) = (sockets.insert(socket()), sockets.insert(socket()));
        sockets.last = u32::MAX - 1;
        let ids = [(); 3].map(|()| sockets.insert(socket()));
        assert_eq!(ids.map(|id| id.0), [u32::MAX, 0, 3]);
        assert!(sockets.remove(first).is_some() && sockets.remove(first).is_none());
        assert!(sockets.get(first).is_none() && sockets.get(second).is_some());
        assert_eq!(sockets.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [0, 2, 3, u32::MAX]);
    }
}
