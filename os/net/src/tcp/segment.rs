//! Segments (RFC 9293 §3.1) as they are read and written, with the options that are understood: maximum segment size,
//! window scale and timestamps (RFC 7323), selective acknowledgements (RFC 2018). Others are skipped.

use super::seq::Seq;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// Header bytes without options.
pub(crate) const HEADER: usize = 20;
/// The longest header.
pub(crate) const HEADER_MAX: usize = 60;
/// The largest window scale (RFC 7323 §2.3).
const SCALE_MAX: u8 = 14;

/// Selective acknowledgements in one segment: ranges from, to (exclusive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocks {
    ranges: [(Seq, Seq); 4],
    count: u8,
}

impl Blocks {
    /// Adds one; false if there is no more room.
    pub(crate) fn push(&mut self, range: (Seq, Seq)) -> bool {
        match self.ranges.get_mut(usize::from(self.count)) {
            Some(slot) => {
                *slot = range;
                self.count += 1;
                true
            }
            None => false,
        }
    }

    pub(crate) fn as_slice(&self) -> &[(Seq, Seq)] {
        &self.ranges[..usize::from(self.count)]
    }
}

/// The options of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    /// Value and echo.
    pub(crate) timestamps: Option<(u32, u32)>,
    pub(crate) sack: Blocks,
}

/// A received segment. Its checksum has been looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Options,
    pub(crate) payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads one; `None` if it is malformed.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let fixed = bytes.first_chunk::<HEADER>()?;
        let header = usize::from(fixed[12] >> 4) * 4;
        let options = bytes.get(HEADER..header)?;
        Some(Self {
            seq: Seq(long(fixed, 4)),
            ack: Seq(long(fixed, 8)),
            flags: fixed[13],
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            options: Options::parse(options),
            payload: &bytes[header..],
        })
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sequence numbers that it takes (RFC 9293 §3.4: SEG.LEN).
    pub(crate) fn length(&self) -> usize {
        self.payload.len() + usize::from(self.has(SYN)) + usize::from(self.has(FIN))
    }
}

impl Options {
    fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let [kind, rest @ ..] = bytes {
            match kind {
                0 => break,
                1 => bytes = rest,
                _ => {
                    let length = rest.first().map_or(0, |length| usize::from(*length));
                    let (Some(value), Some(next)) = (bytes.get(2..length), bytes.get(length..)) else { break };
                    options.take(*kind, value);
                    bytes = next;
                }
            }
        }
        options
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (2, [high, low]) => self.mss = Some(u16::from_be_bytes([*high, *low])),
            (3, [scale]) => self.scale = Some((*scale).min(SCALE_MAX)),
            (4, []) => self.sack_permitted = true,
            (5, blocks) => {
                for block in blocks.as_chunks::<8>().0 {
                    self.sack.push((Seq(long(block, 0)), Seq(long(block, 4))));
                }
            }
            (8, value) if value.len() == 8 => self.timestamps = Some((long(value, 0), long(value, 4))),
            _ => {}
        }
    }
}

/// A segment's header, to be written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Options,
}

impl Header {
    /// Bytes of the header.
    pub(crate) fn length(&self) -> usize {
        let options = &self.options;
        let sack = match options.sack.count {
            0 => 0,
            count => 4 + 8 * usize::from(count),
        };
        HEADER
            + if options.mss.is_some() { 4 } else { 0 }
            + if options.scale.is_some() { 4 } else { 0 }
            + if options.sack_permitted { 4 } else { 0 }
            + if options.timestamps.is_some() { 12 } else { 0 }
            + sack
    }

    /// Writes it over the start of `out`, whose first four bytes (the ports) and whose checksum are others' to write.
    pub(crate) fn write(&self, out: &mut [u8]) {
        let length = self.length();
        out[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        out[12] = (length as u8 / 4) << 4;
        out[13] = self.flags;
        out[14..16].copy_from_slice(&self.window.to_be_bytes());
        out[16..20].fill(0);
        let mut rest = &mut out[HEADER..length];
        let mut put = |bytes: &[u8]| {
            if let Some((head, tail)) = core::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
                head.copy_from_slice(bytes);
                rest = tail;
            }
        };
        // Each padded in front, so that values are aligned (RFC 7323 appendix A).
        if let Some(mss) = self.options.mss {
            let [high, low] = mss.to_be_bytes();
            put(&[2, 4, high, low]);
        }
        if let Some(scale) = self.options.scale {
            put(&[1, 3, 3, scale]);
        }
        if self.options.sack_permitted {
            put(&[1, 1, 4, 2]);
        }
        if let Some((value, echo)) = self.options.timestamps {
            put(&[1, 1, 8, 10]);
            put(&value.to_be_bytes());
            put(&echo.to_be_bytes());
        }
        if self.options.sack.count > 0 {
            put(&[1, 1, 5, 2 + 8 * self.options.sack.count]);
            for (from, to) in self.options.sack.as_slice() {
                put(&from.0.to_be_bytes());
                put(&to.0.to_be_bytes());
            }
        }
    }
}

/// 32 bits at `at`, which the caller knows to be there.
fn long(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut sack = Blocks::default();
        assert!(sack.push((Seq(1), Seq(2))) && sack.push((Seq(9), Seq(12))));
        for options in [
            Options::default(),
            Options {
                mss: Some(1460),
                scale: Some(5),
                sack_permitted: true,
                timestamps: Some((7, 8)),
                ..Options::default()
            },
            Options { timestamps: Some((1, u32::MAX)), sack, ..Options::default() },
        ] {
            let header = Header { seq: Seq(5), ack: Seq(6), flags: ACK | PSH, window: 77, options };
            let mut bytes = vec![0xaa; header.length() + 3];
            header.write(&mut bytes);
            let segment = Segment::parse(&bytes).expect("well-formed");
            assert_eq!((segment.seq, segment.ack, segment.flags, segment.window), (Seq(5), Seq(6), ACK | PSH, 77));
            assert_eq!((segment.options, segment.payload), (options, &[0xaa; 3][..]));
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = crate::random::Random::new([3; 32]);
        for _ in 0..50_000 {
            let mut bytes: Vec<u8> = (0..random.below(80)).map(|_| random.word() as u8).collect();
            if let Some(offset) = bytes.get_mut(12) {
                *offset = (5 + random.below(11) as u8) << 4;
            }
            if let Some(segment) = Segment::parse(&bytes) {
                assert!(segment.options.scale.is_none_or(|scale| scale <= SCALE_MAX));
            }
        }
    }
}
