//! May a linked program make files? What reachability alone cannot tell the linker.
//!
//! Every program can open files: std does when it looks at the CPU quota, and for its backtraces. To bring a file system in
//! memory for that would double a small image. So the builder links without one first and looks at the result. Calls that
//! change the tree of names are plain: the function by which they reach it is in the program, or not. The one by which
//! files are opened is called for both, and so its callers are followed up: each chain either comes by a function of std's
//! that is known to open for reading only (inlined ones count, as the line tables have them), or the program may make
//! files. What is not understood, a function whose address is taken among it, counts as that too.

use crate::debug::Symboliser;
use crate::guest::{Guest, Segment};
use crate::seal::SealError;
use abi::boot::SEGMENT_EXECUTE;
use iced_x86::{Decoder, DecoderOptions};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSymbol as _};
use std::collections::{BTreeSet, HashMap, HashSet};

/// By this the calls that change names reach the tree (`os/libc/src/fs`).
const CHANGES: &str = "ampoule_may_make_files";
/// By this files are opened.
const OPENS: &str = "ampoule_opens_files";
/// Functions that open files for reading only, and what is private to such: beginnings of their names.
const READERS: [&str; 7] = [
    "std::sys::thread::unix::cgroups::",
    "std::thread::available_parallelism",
    "std::sys::thread::unix::available_parallelism",
    "std::backtrace_rs::",
    "std::sys::backtrace::",
    "std::sys::random::",
    "std::sys::pal::unix::init",
];
/// The same, where the whole name counts: functions of the program's may be below it.
const READER: [&str; 4] =
    ["std::fs::File::open", "std::fs::read::inner", "std::fs::read_to_string::inner", "std::fs::read_dir"];

/// May this linked program make files?
///
/// # Errors
/// Those of [`crate::seal()`] on the program's file.
pub fn may_make_files(elf: &[u8]) -> Result<bool, SealError> {
    let symbols = ElfFile64::<object::LittleEndian>::parse(elf)?;
    let find = |name: &str| symbols.symbols().find(|s| s.is_definition() && s.name() == Ok(name)).map(|s| s.address());
    if find(CHANGES).is_some() {
        return Ok(true);
    }
    let Some(opens) = find(OPENS) else { return Ok(false) };
    let guest = Guest::read(elf, true)?;
    let callers = Callers::of(&guest);
    let names = Symboliser::of_program(elf)?;
    Ok(!callers.all_read(opens, &names))
}

/// Who refers to which function.
struct Callers<'g> {
    guest: &'g Guest,
    /// Starts of functions, ascending, and their lengths.
    functions: Vec<(u64, u64)>,
    /// By a function's start: places in code that may refer to it.
    places: HashMap<u64, Vec<u64>>,
    /// Functions whose address is in the data.
    taken: HashSet<u64>,
}

impl<'g> Callers<'g> {
    fn of(guest: &'g Guest) -> Self {
        let functions = guest.functions.clone();
        let starts: HashSet<u64> = functions.iter().map(|f| f.0).collect();
        let mut places = HashMap::<u64, Vec<u64>>::new();
        for segment in guest.segments.iter().filter(|s| s.access & SEGMENT_EXECUTE != 0) {
            // Calls, jumps and addresses are relative to the next instruction, after the four bytes of the distance. Looked
            // for at every byte, so by chance there are some too many ([`Self::refers`]).
            for (at, bytes) in segment.bytes.windows(4).enumerate() {
                let place = segment.address + at as u64;
                let distance = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                let target = (place + 4).wrapping_add_signed(distance.into());
                if starts.contains(&target) {
                    places.entry(target).or_default().push(place);
                }
            }
        }
        let word = |address: u64| {
            let segment = guest.segments.iter().find(|s| address.wrapping_sub(s.address) < s.bytes.len() as u64)?;
            let at = (address - segment.address) as usize;
            segment.bytes.get(at..at + 8).and_then(|w| w.try_into().ok()).map(u64::from_le_bytes)
        };
        let taken = guest.relocations.iter().filter_map(|at| word(*at)).filter(|w| starts.contains(w)).collect();
        Callers { guest, functions, places, taken }
    }

    /// The function that a place is in.
    fn function(&self, place: u64) -> Option<u64> {
        let after = self.functions.partition_point(|f| f.0 <= place);
        let (start, length) = *self.functions.get(after.checked_sub(1)?)?;
        (place - start < length).then_some(start)
    }

    /// Is the distance at `place`, which would lead to `target`, an instruction's operand, and not a few bytes that happen to
    /// look like one? Where the function does not decode, it counts as that.
    fn refers(&self, place: u64, target: u64) -> bool {
        let Some(start) = self.function(place) else { return true };
        let segments = self.guest.segments.iter();
        let code = |s: &'g Segment| s.bytes.get(start.checked_sub(s.address)? as usize..);
        let Some(code) = segments.filter(|s| s.access & SEGMENT_EXECUTE != 0).find_map(code) else { return true };
        let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                return true;
            }
            if instruction.next_ip() > place {
                let memory = instruction.is_ip_rel_memory_operand().then(|| instruction.ip_rel_memory_address());
                return memory == Some(target) || instruction.near_branch_target() == target;
            }
        }
        true
    }

    /// Do all chains of calls to `target` come by a reader?
    fn all_read(&self, target: u64, names: &Symboliser<'_>) -> bool {
        let mut queue = vec![target];
        let mut seen = BTreeSet::from([target]);
        while let Some(function) = queue.pop() {
            let Some(places) = self.places.get(&function).filter(|_| !self.taken.contains(&function)) else {
                return false;
            };
            for place in places.iter().filter(|place| self.refers(**place, function)) {
                if names.places(*place).iter().any(|place| is_reader(&place.function)) {
                    continue;
                }
                let Some(caller) = self.function(*place) else { return false };
                if seen.insert(caller) {
                    queue.push(caller);
                }
            }
        }
        true
    }
}

fn is_reader(name: &str) -> bool {
    // As in `<std::fs::File>::open::<&str>`, which is one of the two ways names are written.
    let plain = name.replace(['<', '>'], "");
    let plain = plain.trim_start_matches("impl ");
    READERS.iter().any(|reader| plain.starts_with(reader))
        || READER.iter().any(|reader| {
            plain
                .strip_prefix(reader)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") && !rest.contains("{"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_where_it_is_an_operand() {
        // 0x1000: mov eax, 0xffb; ret, whose constant would lead from its end to 0x2000. 0x1006: call 0x2000.
        let code = [0xb8, 0xfb, 0x0f, 0, 0, 0xc3, 0xe8, 0xf5, 0x0f, 0, 0];
        let segment = |address, bytes: &[u8]| Segment {
            address,
            bytes: bytes.to_vec(),
            memory_length: bytes.len() as u64,
            access: SEGMENT_EXECUTE,
            relocatable: false,
        };
        let guest = Guest {
            entry: 0x1000,
            segments: vec![segment(0x1000, &code), segment(0x2000, &[0xc3])],
            relocations: Vec::new(),
            relr: None,
            alignment: 4096,
            functions: vec![(0x1000, 6), (0x1006, 5), (0x2000, 1)],
        };
        let callers = Callers::of(&guest);
        assert_eq!(callers.places[&0x2000], [0x1001, 0x1007]);
        assert!(!callers.refers(0x1001, 0x2000));
        assert!(callers.refers(0x1007, 0x2000));
    }

    #[test]
    fn readers_are_told_from_others() {
        for name in [
            "std::sys::thread::unix::cgroups::quota_v1::{closure#2}",
            "std::thread::available_parallelism",
            "<std::backtrace_rs::symbolize::gimli::Context>::new",
            "std::fs::File::open",
            "<std::fs::File>::open::<&str>",
            "std::fs::read_to_string::inner",
        ] {
            assert!(is_reader(name), "{name}");
        }
        for name in [
            "std::fs::File::open_buffered",
            "std::fs::File::create",
            "std::sys::fs::unix::File::open_c",
            "std::fs::OpenOptions::_open",
            "std::fs::write::inner",
            "my_std::fs::File::open",
            "main",
        ] {
            assert!(!is_reader(name), "{name}");
        }
    }
}
