//! Sizes of memory, as people write them: `64M`, `2MiB`, `1.5G`, `4096`.

use std::fmt;

/// Why a text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// not a number
    #[error("expected a number of bytes with a unit of K, M or G (powers of 1024), such as \"64M\"")]
    Syntax,
    /// more than 64 bits of bytes
    #[error("more bytes than an address can count")]
    TooLarge,
}

/// Bytes from a text: a decimal number, then nothing, `K`, `M`, `G` or `T`, with `B` or `iB` after it if one likes. Units
/// are powers of 1024; nobody gives memory in powers of 1000.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(SizeError::Syntax),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || number.contains('.') && (fraction.is_empty() || shift == 0) {
        return Err(SizeError::Syntax);
    }
    let whole: u64 =
        whole.parse().map_err(|_| if whole.contains('.') { SizeError::Syntax } else { SizeError::TooLarge })?;
    let whole = whole.checked_mul(1 << shift).ok_or(SizeError::TooLarge)?;
    let part = match fraction {
        "" => 0,
        _ => {
            let value: u64 = fraction.parse().map_err(|_| SizeError::Syntax)?;
            let scale = 10u64.pow(fraction.len() as u32);
            ((u128::from(value) << shift) / u128::from(scale)) as u64
        }
    };
    whole.checked_add(part).ok_or(SizeError::TooLarge)
}

/// Bytes as a person reads them: exact where a unit divides them, else one decimal.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if bytes >> shift != 0 {
                let whole = bytes >> shift;
                return if bytes == whole << shift {
                    write!(f, "{whole} {unit}")
                } else {
                    write!(f, "{:.1} {unit}", bytes as f64 / (1u64 << shift) as f64)
                };
            }
        }
        write!(f, "{bytes} B")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("4096", 4096),
            ("2M", 2 << 20),
            ("2MiB", 2 << 20),
            ("2mb", 2 << 20),
            ("64 K", 64 << 10),
            ("1.5G", 3 << 29),
            ("0", 0),
            ("16B", 16),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "M", "-1M", "2X", "2 M B", "1.M", ".5G", "1.5", "1.2.3M", "twelve", "2ib", "0x10"] {
            assert_eq!(parse(text), Err(SizeError::Syntax), "{text}");
        }
        for text in ["99999999999999999999", "99999999999G"] {
            assert_eq!(parse(text), Err(SizeError::TooLarge), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown() {
        assert_eq!(Size(512).to_string(), "512 B");
        assert_eq!(Size(2 << 20).to_string(), "2 MiB");
        assert_eq!(Size(1536 << 10).to_string(), "1.5 MiB");
    }
}
