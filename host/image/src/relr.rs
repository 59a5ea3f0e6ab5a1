//! RELR, the compact form of relative relocations (ELF gABI, `SHT_RELR`).
//!
//! An even word is the address of one word to relocate, and the next bitmap starts after it; an odd word is a bitmap,
//! whose bit *n* (from 1) stands for the *n*th of the following 63 words.

/// How many addresses one bitmap covers, in bytes.
const STRIDE: u64 = 63 * 8;

/// Encodes addresses, which are even and strictly ascending.
pub(crate) fn encode(addresses: &[u64]) -> Vec<u64> {
    let mut out = Vec::new();
    let mut rest = addresses;
    while let Some((&first, after)) = rest.split_first() {
        out.push(first);
        rest = after;
        let mut base = first.wrapping_add(8);
        loop {
            let mut bitmap = 0u64;
            while let Some((&next, after)) = rest.split_first() {
                let distance = next.wrapping_sub(base);
                if next < base || distance >= STRIDE || distance % 8 != 0 {
                    break;
                }
                bitmap |= 1 << (distance / 8);
                rest = after;
            }
            if bitmap == 0 {
                break;
            }
            out.push(bitmap << 1 | 1);
            base = base.wrapping_add(STRIDE);
        }
    }
    out
}

/// Decodes words to addresses, in the order of the table; `None` if it starts with a bitmap or runs over the end of the
/// address space.
pub(crate) fn decode(words: impl Iterator<Item = u64>) -> Option<Vec<u64>> {
    let mut out = Vec::new();
    let mut base = None;
    for word in words {
        if word & 1 == 0 {
            out.push(word);
            base = Some(word.checked_add(8)?);
        } else {
            let start = base?;
            for bit in (0..63).filter(|bit| word >> (bit + 1) & 1 == 1) {
                out.push(start.checked_add(bit * 8)?);
            }
            base = Some(start.checked_add(STRIDE)?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_decodes(mut addresses in prop::collection::vec(0u64..1 << 20, 0..300), dense in 0u64..400) {
            addresses.iter_mut().for_each(|a| *a *= 2);
            addresses.extend((0..dense).map(|i| 0x40_0000 + i * 8));
            addresses.sort_unstable();
            addresses.dedup();
            prop_assert_eq!(decode(encode(&addresses).into_iter()), Some(addresses));
        }

        #[test]
        fn nonsense_never_panics(words in prop::collection::vec(any::<u64>(), 0..64)) {
            let _ = decode(words.into_iter());
        }
    }

    #[test]
    fn a_table_must_start_with_an_address() {
        assert_eq!(decode([3].into_iter()), None);
    }

    #[test]
    fn dense_tables_are_small() {
        let addresses: Vec<u64> = (0..640).map(|i| i * 8).collect();
        assert!(encode(&addresses).len() <= 12);
    }
}
