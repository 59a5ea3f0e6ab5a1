//! Raw `syscall` instructions, rewritten when the image is sealed.
//!
//! Some crates (rustix's Linux backend) emit the instruction. Below the gate it means different things: under seccomp it
//! traps, on hardware with `EFER.SCE` clear it is an invalid opcode, on some hypervisors it jumps to LSTAR. As `ud2`, which
//! is just as long, it is the same fault everywhere, and the library OS turns that fault into the call.
//!
//! The two bytes `0f 05` also occur inside longer instructions and in constants, so only what a real disassembly of a
//! whole function reaches is touched; a function with a byte that does not decode is left alone.

use crate::guest::Guest;
use abi::boot::SEGMENT_EXECUTE;
use iced_x86::{Code, Decoder, DecoderOptions};

const UD2: [u8; 2] = [0x0f, 0x0b];

/// Rewrites every `syscall` in `guest`'s functions and says how many there were.
pub(crate) fn rewrite(guest: &mut Guest) -> usize {
    let functions = core::mem::take(&mut guest.functions);
    let mut count = 0;
    for segment in guest.segments.iter_mut().filter(|s| s.access & SEGMENT_EXECUTE != 0) {
        let first = segment.address;
        let end = first + segment.bytes.len() as u64;
        let inside: Vec<_> = functions.iter().filter(|f| (first..end).contains(&f.0)).collect();
        for (i, &&(start, length)) in inside.iter().enumerate() {
            // A function written in assembly has no size: it reaches to the next one.
            let next = inside.get(i + 1).map_or(end, |f| f.0);
            let stop = if length == 0 { next } else { start.saturating_add(length).min(end) };
            let code = &mut segment.bytes[(start - first) as usize..(stop - first) as usize];
            // Disassembly is slow; most functions do not hold the bytes at all.
            if code.windows(2).any(|w| w == [0x0f, 0x05]) {
                count += rewrite_function(code);
            }
        }
    }
    guest.functions = functions;
    count
}

fn rewrite_function(code: &mut [u8]) -> usize {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut sites = Vec::new();
    while decoder.can_decode() {
        let at = decoder.position();
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return 0;
        }
        if instruction.code() == Code::Syscall && instruction.len() == 2 {
            sites.push(at);
        }
    }
    for &at in &sites {
        code[at..at + 2].copy_from_slice(&UD2);
    }
    sites.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_instruction_is_rewritten() {
        // mov eax, 0x050f; syscall; ret
        let mut code = [0xb8, 0x0f, 0x05, 0, 0, 0x0f, 0x05, 0xc3];
        assert_eq!(rewrite_function(&mut code), 1);
        assert_eq!(code, [0xb8, 0x0f, 0x05, 0, 0, 0x0f, 0x0b, 0xc3]);
    }

    #[test]
    fn what_does_not_decode_stays() {
        // 06 is no instruction in 64-bit mode: this is data.
        let mut code = [0x0f, 0x05, 0x06, 0xc3];
        assert_eq!(rewrite_function(&mut code), 0);
        assert_eq!(code, [0x0f, 0x05, 0x06, 0xc3]);
    }
}
