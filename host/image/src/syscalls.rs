//! Raw `syscall` instructions, rewritten when the image is sealed.
//!
//! Some crates (rustix's Linux backend) emit the instruction. Below the gate it means different things: under seccomp it
//! traps, on hardware with `EFER.SCE` clear it is an invalid opcode, on some hypervisors it jumps to LSTAR. As `0f 04`,
//! which is just as long and which no CPU decodes (SDM 2D, Table A-3), it is the same fault everywhere, and the library OS
//! turns that fault into the call. It is not `ud2`, so that a real trap stays one.
//!
//! The two bytes `0f 05` also occur inside longer instructions and in constants, so only what a real disassembly of a
//! whole function reaches is touched; a function with a byte that does not decode is left alone, and what is no function
//! too. The instruction faults there by itself wherever Ampoule runs today.

use crate::guest::{Guest, Segment};
use crate::seal::SealError;
use abi::boot::SEGMENT_EXECUTE;
use iced_x86::{Code, Decoder, DecoderOptions};

const SYSCALL: [u8; 2] = [0x0f, 0x05];
const INVALID: [u8; 2] = [0x0f, 0x04];

/// How many raw `syscall` instructions a linked program may hold, those counted that cannot be told from data. Not 0: it
/// must be linked with the whole table of system calls.
///
/// # Errors
/// Those of [`crate::seal()`] on the program's file.
pub fn raw_system_calls(elf: &[u8]) -> Result<usize, SealError> {
    let guest = Guest::read(elf, true)?;
    Ok(executable(&guest).map(|segment| find(segment, &guest.functions)).map(|f| f.sites.len() + f.unclear).sum())
}

/// Rewrites every `syscall` in `guest`'s functions and says how many there were.
pub(crate) fn rewrite(guest: &mut Guest) -> usize {
    let mut count = 0;
    for segment in guest.segments.iter_mut().filter(|segment| segment.access & SEGMENT_EXECUTE != 0) {
        let sites = find(segment, &guest.functions).sites;
        for &at in &sites {
            segment.bytes[at..at + 2].copy_from_slice(&INVALID);
        }
        count += sites.len();
    }
    count
}

fn executable(guest: &Guest) -> impl Iterator<Item = &Segment> {
    guest.segments.iter().filter(|segment| segment.access & SEGMENT_EXECUTE != 0)
}

/// What a segment holds of them.
#[derive(Debug, Default)]
struct Found {
    /// Offsets of instructions.
    sites: Vec<usize>,
    /// How often the bytes occur outside of what decodes.
    unclear: usize,
}

fn find(segment: &Segment, functions: &[(u64, u64)]) -> Found {
    let first = segment.address;
    let end = first + segment.bytes.len() as u64;
    let inside = &functions[functions.partition_point(|f| f.0 < first)..functions.partition_point(|f| f.0 < end)];
    let mut found = Found::default();
    let mut decoded_to = 0;
    // Disassembly is slow; most functions do not hold the bytes at all.
    for at in segment.bytes.windows(2).enumerate().filter(|(_, bytes)| *bytes == SYSCALL).map(|(at, _)| at) {
        if at < decoded_to {
            continue;
        }
        let after = inside.partition_point(|f| f.0 <= first + at as u64);
        let function = after.checked_sub(1).map(|index| {
            let (start, length) = inside[index];
            // A function written in assembly has no size: it reaches to the next one.
            let next = inside.get(after).map_or(end, |f| f.0);
            let stop = if length == 0 { next } else { start.saturating_add(length).min(end) };
            ((start - first) as usize, (stop - first) as usize)
        });
        let sites = function.filter(|&(_, stop)| at < stop).and_then(|(start, stop)| {
            let sites = instructions(&segment.bytes[start..stop])?;
            Some((stop, sites.into_iter().map(move |site| start + site)))
        });
        match sites {
            Some((stop, sites)) => {
                found.sites.extend(sites);
                decoded_to = stop;
            }
            None => found.unclear += 1,
        }
    }
    found
}

/// Where in a function the instruction stands; `None` if the function does not decode.
fn instructions(code: &[u8]) -> Option<Vec<usize>> {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut sites = Vec::new();
    while decoder.can_decode() {
        let at = decoder.position();
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        if instruction.code() == Code::Syscall && instruction.len() == 2 {
            sites.push(at);
        }
    }
    Some(sites)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(bytes: &[u8]) -> Segment {
        let (address, memory_length) = (0x1000, bytes.len() as u64);
        Segment { address, bytes: bytes.to_vec(), memory_length, access: SEGMENT_EXECUTE, relocatable: false }
    }

    #[test]
    fn only_the_instruction_is_found() {
        // mov eax, 0x050f; syscall; ret
        let found = find(&code(&[0xb8, 0x0f, 0x05, 0, 0, 0x0f, 0x05, 0xc3]), &[(0x1000, 8)]);
        assert_eq!((found.sites, found.unclear), (vec![5], 0));
    }

    #[test]
    fn what_does_not_decode_is_unclear() {
        // 06 is no instruction in 64-bit mode: this is data.
        let found = find(&code(&[0x0f, 0x05, 0x06, 0xc3]), &[(0x1000, 4)]);
        assert_eq!((found.sites, found.unclear), (vec![], 1));
    }

    #[test]
    fn what_is_in_no_function_is_unclear() {
        let bytes = [0x0f, 0x05, 0xc3, 0xcc, 0xc3, 0xcc, 0x0f, 0x05];
        let found = find(&code(&bytes), &[(0x1004, 1)]);
        assert_eq!((found.sites, found.unclear), (vec![], 2));
        let found = find(&code(&bytes), &[(0x1000, 3), (0x1004, 0)]);
        assert_eq!((found.sites, found.unclear), (vec![0, 6], 0));
    }
}
