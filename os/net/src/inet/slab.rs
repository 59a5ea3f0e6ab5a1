//! The sockets, by number. A number's generation makes an old [`SocketId`] of a reused number invalid.

use super::socket::Socket;
use alloc::vec::Vec;
use device::SocketId;

const NUMBER_BITS: u32 = 20;
const NUMBER_MASK: u32 = (1 << NUMBER_BITS) - 1;

#[derive(Default)]
pub(super) struct Slab {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    socket: Option<Socket>,
}

impl Slab {
    /// Puts a socket in; `None` if a million are there already.
    pub(super) fn insert(&mut self, socket: Socket) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            self.slots[number as usize].socket = Some(socket);
            return Some(number);
        }
        let number = self.slots.len() as u32;
        if number > NUMBER_MASK {
            return None;
        }
        self.slots.push(Slot { generation: 0, socket: Some(socket) });
        Some(number)
    }

    /// Takes a socket out.
    pub(super) fn remove(&mut self, number: u32) -> Option<Socket> {
        let slot = self.slots.get_mut(number as usize)?;
        let socket = slot.socket.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(number);
        Some(socket)
    }

    /// From now on the program's old identifier means nothing; the socket stays.
    pub(super) fn forget(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.generation = slot.generation.wrapping_add(1);
        }
    }

    /// The identifier of a socket.
    pub(super) fn id(&self, number: u32) -> SocketId {
        let generation = self.slots.get(number as usize).map_or(0, |s| s.generation);
        SocketId(generation << NUMBER_BITS | number)
    }

    /// The number of the socket that a program means.
    pub(super) fn number(&self, id: SocketId) -> Option<u32> {
        let number = id.0 & NUMBER_MASK;
        let slot = self.slots.get(number as usize)?;
        (slot.socket.is_some() && slot.generation << NUMBER_BITS == id.0 & !NUMBER_MASK).then_some(number)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Socket> {
        self.slots.get(number as usize)?.socket.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Socket> {
        self.slots.get_mut(number as usize)?.socket.as_mut()
    }

    /// All of them, by number.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.socket.is_some()).map(|(number, _)| number as u32)
    }
}
