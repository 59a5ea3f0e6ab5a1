//! The names of instructions that only ring 0 may execute, for reports: a general-protection fault has no address, so
//! what was executed is all that there is to name.
//!
//! No disassembler: the opcodes of SDM 2D, Tables A-2 to A-6, that fault in ring 3 by themselves. All else is left to the
//! bytes, which stand in the report too.

use super::Line;

/// How many bytes a report shows, at most.
const SHOWN: usize = 8;

/// Opcodes behind `0f`.
const TWO: u16 = 0x0f00;
/// `0f 01` with the reg field of its ModRM byte, where that names memory.
const GROUP_7: u16 = 0x1000;
/// `0f 01` with a ModRM byte that names no memory.
const GROUP_7_REGISTER: u16 = 0x2000;
/// `0f 00` with the reg field.
const GROUP_6: u16 = 0x3000;

const NAMES: [(u16, [u8; 8]); 22] = [
    (0xcb, *b"retf    "),
    (0xcd, *b"int     "),
    (0xcf, *b"iret    "),
    (0xec, *b"in      "),
    (0xed, *b"in      "),
    (0xee, *b"out     "),
    (0xef, *b"out     "),
    (0xf4, *b"hlt     "),
    (0xfa, *b"cli     "),
    (0xfb, *b"sti     "),
    (GROUP_6 | 3, *b"ltr     "),
    (GROUP_7, *b"sgdt    "),
    (GROUP_7 | 1, *b"sidt    "),
    (GROUP_7 | 2, *b"lgdt    "),
    (GROUP_7 | 3, *b"lidt    "),
    (GROUP_7 | 6, *b"lmsw    "),
    (GROUP_7 | 7, *b"invlpg  "),
    (GROUP_7_REGISTER | 0xd1, *b"xsetbv  "),
    (GROUP_7_REGISTER | 0xf8, *b"swapgs  "),
    (TWO | 0x07, *b"sysret  "),
    (TWO | 0x30, *b"wrmsr   "),
    (TWO | 0x32, *b"rdmsr   "),
];

/// Writes an instruction's name, where it has one here, and its first bytes.
#[cold]
#[inline(never)]
pub(super) fn describe(out: &mut Line, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(SHOWN)];
    let mut opcode = bytes;
    while let [0x40..=0x4f | 0x66 | 0xf2 | 0xf3, rest @ ..] = opcode {
        opcode = rest;
    }
    if let [0x0f, move_special @ 0x20..=0x23, modrm, ..] = *opcode {
        out.text(if move_special & 1 == 0 { " by mov cr" } else { " by mov dr" });
        out.push(b'0' + (modrm >> 3 & 7));
    } else if let Some((_, name)) = NAMES.iter().find(|(number, _)| Some(*number) == key(opcode)) {
        out.text(" by ");
        name.iter().take_while(|letter| **letter != b' ').for_each(|letter| out.push(*letter));
    }
    out.text(" (bytes");
    for byte in bytes {
        out.push(b' ');
        out.digits(u64::from(*byte), 16, 2);
    }
    out.text(")");
}

#[cold]
#[inline(never)]
fn key(opcode: &[u8]) -> Option<u16> {
    let (&first, rest) = opcode.split_first()?;
    if first != 0x0f {
        return Some(first.into());
    }
    let (&second, rest) = rest.split_first()?;
    let modrm = u16::from(rest.first().copied().unwrap_or(0));
    Some(match second {
        0x00 => GROUP_6 | modrm >> 3 & 7,
        // lmsw and smsw take a register as well, in the same field.
        0x01 if modrm < 0xc0 || matches!(modrm >> 3 & 7, 4 | 6) => GROUP_7 | modrm >> 3 & 7,
        0x01 => GROUP_7_REGISTER | modrm,
        other => TWO | u16::from(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut line = Line::default();
        describe(&mut line, bytes);
        String::from_utf8(line.as_bytes().to_vec()).expect("text")
    }

    #[test]
    fn names_what_ring_0_has_for_itself() {
        for (bytes, name) in [
            (&[0xf4u8][..], "hlt"),
            (&[0xee, 0xc3], "out"),
            (&[0xcd, 0x80], "int"),
            (&[0x0f, 0x22, 0xd8], "mov cr3"),
            (&[0x0f, 0x20, 0xc0], "mov cr0"),
            (&[0x44, 0x0f, 0x23, 0xf8], "mov dr7"),
            (&[0x0f, 0x30], "wrmsr"),
            (&[0x0f, 0x01, 0x00], "sgdt"),
            (&[0x0f, 0x01, 0x10], "lgdt"),
            (&[0x0f, 0x01, 0xf0], "lmsw"),
            (&[0x0f, 0x01, 0xd1], "xsetbv"),
            (&[0x0f, 0x01, 0xf8], "swapgs"),
            (&[0x0f, 0x00, 0xd8], "ltr"),
            (&[0x48, 0x0f, 0x07], "sysret"),
            (&[0x48, 0xcf], "iret"),
        ] {
            assert!(text(bytes).starts_with(&format!(" by {name} (bytes ")), "{bytes:02x?}: {}", text(bytes));
        }
        assert_eq!(text(&[0x8a, 0x07]), " (bytes 8a 07)");
        // Cut off where the text ends.
        for bytes in [&[][..], &[0x0f], &[0x48], &[0x0f, 0x01]] {
            assert!(text(bytes).contains("(bytes"), "{bytes:02x?}");
        }
    }
}
