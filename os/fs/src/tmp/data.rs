//! A file's contents: pieces of memory, and holes between them that read as zeros.
//!
//! A piece covers up to [`PIECE`] bytes at a multiple of that. The piece of a short file is as long as need be and grows
//! by doubling; nothing else is ever moved. For a mapping the pieces of a range are made parts of one run, which is then
//! both the file and the mapping ([`Data::map`]).

use crate::error::{Error, Result};
use crate::tmp::space::Space;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use memory::Shared;

/// Bytes that one piece covers.
pub(crate) const PIECE: u64 = 64 << 10;
/// The longest file, in bytes: so that every piece's number fits.
pub(crate) const LENGTH_MAX: u64 = PIECE * u32::MAX as u64;

/// The contents of a file.
#[derive(Default)]
pub(crate) struct Data {
    length: u64,
    /// Ascending by number.
    pieces: Vec<Piece>,
}

/// Memory of one file, and how often a program has part of it mapped.
struct Run {
    memory: Shared,
    mappings: AtomicU32,
}

/// Part of a file that a program has mapped. The memory stays where it is for as long as this lives.
pub struct Mapping {
    run: Arc<Run>,
    at: usize,
}

impl Mapping {
    fn new(run: &Arc<Run>, at: usize) -> Mapping {
        run.mappings.fetch_add(1, Relaxed);
        Mapping { run: run.clone(), at }
    }

    /// Where the first byte lies.
    pub fn address(&self) -> usize {
        self.run.memory.address() + self.at
    }
}

impl Clone for Mapping {
    fn clone(&self) -> Mapping {
        Mapping::new(&self.run, self.at)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.run.mappings.fetch_sub(1, Relaxed);
    }
}

struct Piece {
    number: u32,
    run: Arc<Run>,
    /// Where in the run it begins.
    at: usize,
    /// How many bytes of the run are its own.
    room: usize,
}

fn new_run(bytes: usize, space: &mut Space) -> Result<Arc<Run>> {
    Ok(Arc::new(Run { memory: space.take(bytes)?, mappings: AtomicU32::new(0) }))
}

impl Piece {
    fn new(number: u32, room: usize, space: &mut Space) -> Result<Piece> {
        Ok(Piece { number, run: new_run(room, space)?, at: 0, room })
    }

    /// May a program have it mapped? Then it must stay where it is.
    fn is_mapped(&self) -> bool {
        self.run.mappings.load(Relaxed) > 0
    }

    /// Makes it cover at least `room` bytes.
    fn grow(&mut self, room: usize, space: &mut Space) -> Result<()> {
        if room <= self.room {
            return Ok(());
        }
        let larger = Piece::new(self.number, room.next_power_of_two().min(PIECE as usize), space)?;
        larger.run.memory.copy(0, &self.run.memory, self.at, self.room);
        space.give(self.room);
        *self = larger;
        Ok(())
    }

    fn clear_from(&self, at: usize) {
        if at < self.room {
            self.run.memory.clear(self.at + at, self.room - at);
        }
    }
}

impl Data {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of memory it takes.
    pub(crate) fn allocated(&self) -> u64 {
        self.pieces.iter().map(|p| p.room as u64).sum()
    }

    fn find(&self, number: u32) -> core::result::Result<usize, usize> {
        // Most are found at the end, where files grow.
        match self.pieces.last() {
            Some(last) if last.number < number => Err(self.pieces.len()),
            Some(last) if last.number == number => Ok(self.pieces.len() - 1),
            _ => self.pieces.binary_search_by_key(&number, |p| p.number),
        }
    }

    /// The piece of this number, of at least `room` bytes.
    fn piece(&mut self, number: u32, room: usize, space: &mut Space) -> Result<&Piece> {
        let index = match self.find(number) {
            Ok(index) => index,
            Err(index) => {
                // Only the first piece may stay short: of a longer file every piece is soon filled.
                let room = if number == 0 { room.next_power_of_two().max(4096) } else { PIECE as usize };
                self.pieces.try_reserve(1).map_err(|_| Error::NoSpace)?;
                self.pieces.insert(index, Piece::new(number, room, space)?);
                index
            }
        };
        self.pieces[index].grow(room, space)?;
        Ok(&self.pieces[index])
    }

    /// Reads from `offset` on, at most to the end of one piece.
    pub(crate) fn read(&self, offset: u64, to: &mut [u8]) -> usize {
        let rest = self.length.saturating_sub(offset).min(PIECE - offset % PIECE);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(to.len());
        let to = &mut to[..count];
        let known = match self.find((offset / PIECE) as u32) {
            Ok(index) => {
                let (piece, inside) = (&self.pieces[index], (offset % PIECE) as usize);
                let known = piece.room.saturating_sub(inside).min(count);
                piece.run.memory.read(piece.at + inside, &mut to[..known])
            }
            Err(_) => 0,
        };
        to[known..].fill(0);
        count
    }

    /// Writes from `offset` on, at most to the end of one piece.
    pub(crate) fn write(&mut self, offset: u64, from: &[u8], space: &mut Space) -> Result<usize> {
        if offset >= LENGTH_MAX {
            return Err(Error::TooLarge);
        }
        let inside = (offset % PIECE) as usize;
        let count = from.len().min(PIECE as usize - inside);
        let piece = self.piece((offset / PIECE) as u32, inside + count, space)?;
        let count = piece.run.memory.write(piece.at + inside, &from[..count]);
        self.length = self.length.max(offset + count as u64);
        Ok(count)
    }

    /// Cuts it, or extends it by a hole. Pieces behind the end go, unless they are mapped; what stays is zero there.
    pub(crate) fn set_length(&mut self, length: u64, space: &mut Space) -> Result<()> {
        if length > LENGTH_MAX {
            return Err(Error::TooLarge);
        }
        if length < self.length {
            let keep = length.div_ceil(PIECE);
            self.pieces.retain(|piece| {
                let stays = u64::from(piece.number) < keep || piece.is_mapped();
                if !stays {
                    space.give(piece.room);
                }
                stays
            });
            for piece in self.pieces.iter().filter(|p| u64::from(p.number) >= length / PIECE) {
                piece.clear_from(length.saturating_sub(u64::from(piece.number) * PIECE) as usize);
            }
        }
        self.length = length;
        Ok(())
    }

    /// Takes memory for a range beforehand (`fallocate`).
    pub(crate) fn allocate(&mut self, offset: u64, length: u64, keep_size: bool, space: &mut Space) -> Result<()> {
        let end = offset.checked_add(length).filter(|end| *end <= LENGTH_MAX).ok_or(Error::TooLarge)?;
        for number in offset / PIECE..end.div_ceil(PIECE) {
            let room = (end - number * PIECE).min(PIECE) as usize;
            self.piece(number as u32, room, space)?;
        }
        if !keep_size {
            self.length = self.length.max(end);
        }
        Ok(())
    }

    /// Makes a range zero again (`FALLOC_FL_PUNCH_HOLE`): the memory of whole pieces is given back.
    pub(crate) fn punch(&mut self, offset: u64, length: u64, space: &mut Space) {
        let end = offset.saturating_add(length);
        self.pieces.retain(|piece| {
            let start = u64::from(piece.number) * PIECE;
            let from = offset.saturating_sub(start).min(PIECE) as usize;
            let to = end.saturating_sub(start).min(PIECE) as usize;
            if from == 0 && to >= piece.room && !piece.is_mapped() {
                space.give(piece.room);
                return false;
            }
            let to = to.min(piece.room);
            if from < to {
                piece.run.memory.clear(piece.at + from, to - from);
            }
            true
        });
    }

    /// The next byte from `offset` on that is in a piece (`SEEK_DATA`) or in none (`SEEK_HOLE`); `None` behind the end.
    pub(crate) fn seek(&self, offset: u64, data: bool) -> Option<u64> {
        if offset >= self.length {
            return None;
        }
        let mut at = offset;
        while at < self.length {
            if self.find((at / PIECE) as u32).is_ok() == data {
                return Some(at);
            }
            at = (at / PIECE + 1) * PIECE;
        }
        (!data).then_some(self.length)
    }

    /// Memory that is the file from `offset` on, for at least `length` bytes. What lies behind the
    /// file's end is memory too, and becomes part of the file when that grows.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where part of it is mapped in another piece of memory, which cannot be moved.
    pub(crate) fn map(&mut self, offset: u64, length: u64, space: &mut Space) -> Result<Mapping> {
        let end = offset.checked_add(length).filter(|end| *end <= LENGTH_MAX).ok_or(Error::Invalid)?;
        if let Some(found) = self.mapped(offset, end) {
            return Ok(found);
        }
        let is_free = |p: &Piece, from: u64, to: u64| {
            !p.is_mapped() || u64::from(p.number) < from / PIECE || u64::from(p.number) >= to.div_ceil(PIECE)
        };
        // All of the file if nothing is mapped yet, so that further mappings find it in one piece.
        let whole = self.length.max(end);
        let (from, to) = match self.pieces.iter().all(|p| is_free(p, 0, whole)) {
            true => (0, whole),
            false if self.pieces.iter().all(|p| is_free(p, offset, end)) => (offset / PIECE * PIECE, end),
            false => return Err(Error::NoDevice),
        };
        self.unite(from / PIECE, to.div_ceil(PIECE), space)?;
        self.mapped(offset, end).ok_or(Error::NoDevice)
    }

    /// The run that holds the whole range already, if there is one.
    fn mapped(&self, offset: u64, end: u64) -> Option<Mapping> {
        let first = self.find((offset / PIECE) as u32).ok()?;
        let (run, at) = (&self.pieces[first].run, self.pieces[first].at);
        for (index, number) in (offset / PIECE..end.div_ceil(PIECE)).enumerate() {
            let piece = self.pieces.get(first + index).filter(|p| u64::from(p.number) == number)?;
            let place = at + index * PIECE as usize;
            if !Arc::ptr_eq(&piece.run, run) || piece.at != place || piece.room != PIECE as usize {
                return None;
            }
        }
        Some(Mapping::new(run, at + (offset % PIECE) as usize))
    }

    /// Makes the pieces of these numbers parts of one new run.
    fn unite(&mut self, from: u64, to: u64, space: &mut Space) -> Result<()> {
        let count = (to - from) as usize;
        let missing = (from..to).filter(|number| self.find(*number as u32).is_err()).count();
        self.pieces.try_reserve(missing).map_err(|_| Error::NoSpace)?;
        let run = new_run(count * PIECE as usize, space)?;
        for index in 0..count {
            let (number, at) = ((from as usize + index) as u32, index * PIECE as usize);
            let piece = Piece { number, run: run.clone(), at, room: PIECE as usize };
            match self.find(number) {
                Ok(old) => {
                    let old = &mut self.pieces[old];
                    run.memory.copy(at, &old.run.memory, old.at, old.room);
                    space.give(old.room);
                    *old = piece;
                }
                Err(place) => self.pieces.insert(place, piece),
            }
        }
        Ok(())
    }

    /// Gives all of its memory up.
    pub(crate) fn release(&mut self, space: &mut Space) {
        self.pieces.drain(..).for_each(|piece| space.give(piece.room));
        self.length = 0;
    }
}
