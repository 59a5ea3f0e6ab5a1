//! The sockets, by number, and the list of those that have something for the guest.
//!
//! A number counts up for ever and leads to the slot that its low bits name, so that no number comes again within 2³²
//! sockets, and one that was closed is simply not found.

use abi::hostnet::{Address, RECEIVE_WINDOW};

/// What a socket is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// TCP, connected or on the way there.
    #[default]
    Stream = 0,
    /// TCP, listening.
    Listener = 1,
    /// UDP.
    Datagram = 2,
}

/// One socket. All zero is a free slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Socket {
    /// 0: free.
    pub(super) number: u32,
    /// Descriptor + 1, so that 0 is none.
    descriptor: u32,
    pub(super) kind: Kind,
    /// The guest sees IPv6 addresses.
    pub(super) v6: bool,
    /// The server accepted it; the other side does not know it.
    pub(super) accepted: bool,
    pub(super) connecting: bool,
    /// Its end or its error was told; it is read only to learn of an error.
    pub(super) ended: bool,
    /// The epoll set said that nothing follows what is there: the end comes without another edge.
    pub(super) peer_ended: bool,
    /// There may be something to read.
    pub(super) readable: bool,
    /// A send was cut short.
    pub(super) wants_room: bool,
    /// To be told.
    pub(super) tell_connected: bool,
    pub(super) tell_writable: bool,
    /// In the list.
    queued: bool,
    /// The next in the list: slot + 1, or 0.
    next: u32,
    /// What may still be handed to the guest: bytes, or connections.
    pub(super) window: u32,
    pub(super) window_max: u32,
    /// What the guest sees as the local address of accepted connections.
    pub(super) local: Address,
    /// A datagram's destination that was allowed before.
    pub(super) allowed: Address,
}

impl Socket {
    pub(super) fn descriptor(&self) -> Option<i32> {
        self.descriptor.checked_sub(1).map(|d| d as i32)
    }

    pub(super) fn set_descriptor(&mut self, descriptor: i32) {
        self.descriptor = descriptor as u32 + 1;
    }

    /// Does it have something for the guest that it may have?
    pub(super) fn due(&self) -> bool {
        self.tell_connected || self.tell_writable || (self.readable && self.window > 0)
    }
}

/// The sockets.
#[derive(Debug)]
pub struct Table {
    slots: &'static mut [Socket],
    next_number: u32,
    first: u32,
    last: u32,
}

/// Bytes of memory that a table of `slots` sockets takes.
pub const fn memory_for(slots: usize) -> usize {
    slots * size_of::<Socket>()
}

impl Table {
    /// A table of `slots` sockets, rounded down to a power of two.
    ///
    /// # Safety
    /// `memory` leads to [`memory_for`] bytes, zeroed, aligned to 8, mapped for ever and used for nothing else.
    pub unsafe fn in_zeroed(memory: *mut u8, slots: usize) -> Self {
        let slots = if slots.is_power_of_two() { slots } else { slots.next_power_of_two() / 2 };
        // SAFETY: this function's contract; all zero is a valid socket.
        let slots = unsafe { core::slice::from_raw_parts_mut(memory.cast::<Socket>(), slots) };
        Self { slots, next_number: 1, first: 0, last: 0 }
    }

    fn slot_of(&self, number: u32) -> usize {
        number as usize & (self.slots.len() - 1)
    }

    /// A new socket, or `None` if there are too many. A slot that was closed while listed is free once the list has
    /// passed it, which a guest that takes no events can put off for ever.
    pub(super) fn insert(&mut self, kind: Kind) -> Option<&mut Socket> {
        // As many numbers as there are slots, and the one that is none, lead to every slot.
        let number = (0..=self.slots.len()).find_map(|_| {
            let number = self.next_number;
            self.next_number = self.next_number.wrapping_add(1);
            let slot = &self.slots[self.slot_of(number)];
            (number != 0 && slot.number == 0 && !slot.queued).then_some(number)
        })?;
        let slot = self.slot_of(number);
        let window = RECEIVE_WINDOW;
        self.slots[slot] = Socket { number, kind, window, window_max: window, ..Socket::default() };
        Some(&mut self.slots[slot])
    }

    pub(super) fn get(&mut self, number: u32) -> Option<&mut Socket> {
        let slot = self.slot_of(number);
        self.slots.get_mut(slot).filter(|s| s.number == number && number != 0)
    }

    pub(super) fn remove(&mut self, number: u32) {
        if let Some(socket) = self.get(number) {
            let (queued, next) = (socket.queued, socket.next);
            *socket = Socket { queued, next, ..Socket::default() };
        }
    }

    /// Puts a socket at the end of the list, if it is due and not in it.
    pub(super) fn list(&mut self, number: u32) {
        let Some(socket) = self.get(number) else { return };
        if socket.queued || !socket.due() {
            return;
        }
        socket.queued = true;
        socket.next = 0;
        let link = self.slot_of(number) as u32 + 1;
        match (self.last as usize).checked_sub(1).and_then(|last| self.slots.get_mut(last)) {
            Some(last) => last.next = link,
            None => self.first = link,
        }
        self.last = link;
    }

    /// Takes the first socket off the list.
    pub(super) fn take(&mut self) -> Option<u32> {
        loop {
            let socket = self.slots.get_mut((self.first as usize).checked_sub(1)?)?;
            self.first = socket.next;
            if self.first == 0 {
                self.last = 0;
            }
            socket.queued = false;
            socket.next = 0;
            // Closed meanwhile, or no longer due.
            if socket.number != 0 && socket.due() {
                return Some(socket.number);
            }
        }
    }

    /// The numbers of all listeners, one after the other: the next one from slot `from` on, and where to go on.
    pub(super) fn listener(&self, from: usize) -> Option<(u32, usize)> {
        let at = self.slots.iter().skip(from).position(|s| s.number != 0 && s.kind == Kind::Listener)?;
        Some((self.slots[from + at].number, from + at + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(slots: usize) -> Table {
        let memory = vec![0u64; memory_for(slots).div_ceil(8)].leak();
        // SAFETY: leaked, zeroed and long enough.
        unsafe { Table::in_zeroed(memory.as_mut_ptr().cast(), slots) }
    }

    #[test]
    fn numbers_do_not_come_again() {
        let mut table = table(4);
        let first = table.insert(Kind::Stream).expect("room").number;
        let mut seen = vec![first];
        for _ in 0..20 {
            let number = table.insert(Kind::Stream).expect("room").number;
            assert!(!seen.contains(&number));
            seen.push(number);
            table.remove(number);
            assert!(table.get(number).is_none());
        }
        assert_eq!(table.get(first).map(|s| s.number), Some(first));
        for _ in 0..3 {
            assert!(table.insert(Kind::Stream).is_some());
        }
        assert!(table.insert(Kind::Stream).is_none());
    }

    #[test]
    fn a_table_whose_free_slots_are_all_listed_is_full() {
        let mut table = table(4);
        let numbers: Vec<u32> = (0..4).map(|_| table.insert(Kind::Stream).expect("room").number).collect();
        for number in &numbers {
            table.get(*number).expect("there").readable = true;
            table.list(*number);
        }
        table.remove(numbers[2]);
        assert!(table.insert(Kind::Stream).is_none(), "its slot is still linked to the next");
        assert_eq!(table.take(), Some(numbers[0]));
        assert_eq!(table.take(), Some(numbers[1]));
        assert_eq!(table.take(), Some(numbers[3]));
        assert!(table.insert(Kind::Stream).is_some());
    }

    #[test]
    fn the_list_is_a_queue_and_forgets_the_closed() {
        let mut table = table(8);
        let numbers: Vec<u32> = (0..4).map(|_| table.insert(Kind::Stream).expect("room").number).collect();
        for number in &numbers {
            table.get(*number).expect("there").readable = true;
            table.list(*number);
            table.list(*number);
        }
        table.remove(numbers[1]);
        assert_eq!(table.take(), Some(numbers[0]));
        table.list(numbers[0]);
        assert_eq!(table.take(), Some(numbers[2]));
        assert_eq!(table.take(), Some(numbers[3]));
        assert_eq!(table.take(), Some(numbers[0]));
        assert_eq!(table.take(), None);
        table.list(numbers[3]);
        assert_eq!(table.take(), Some(numbers[3]));
    }
}
