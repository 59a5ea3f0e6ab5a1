//! What the library OS reads of its sealed manifest: who may connect where.
//!
//! The tool reads the whole manifest, and says what is wrong with it, by minicbor. Here one section is wanted, and the
//! only question is whether it can be read; this reader brings a tenth of the code into the image.

use super::{Connect, Host, Known, Listen, Names, Network, Protocol};
use alloc::string::String;
use alloc::vec::Vec;

/// Major types (RFC 8949 §3.1).
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
/// What stands before the network section in the manifest, and before the names.
const BEFORE_NETWORK: u64 = 6;
const BEFORE_NAMES: u64 = 7;

impl Network {
    /// The network section of a manifest in CBOR; `None` if it has none, or cannot be read.
    pub fn of_sealed(manifest: &[u8]) -> Option<Network> {
        // A null, where a field follows, is no array either.
        section(manifest, BEFORE_NETWORK)?
            .fields(2, |r| Some(Network { listen: r.list(Reader::listen)?, connect: r.list(Reader::connect)? }))
    }
}

impl Names {
    /// The names of a manifest in CBOR; `None` if it has none, or cannot be read.
    pub fn of_sealed(manifest: &[u8]) -> Option<Names> {
        section(manifest, BEFORE_NAMES)?
            .fields(2, |r| Some(Names { hosts: r.list(Reader::known)?, search: r.list(Reader::text)? }))
    }
}

/// Where a section of the manifest begins.
fn section(manifest: &[u8], before: u64) -> Option<Reader<'_>> {
    let mut reader = Reader(manifest);
    // Absent fields at the end are left out of the array.
    if reader.argument(ARRAY)? <= before {
        return None;
    }
    for _ in 0..before {
        reader.skip()?;
    }
    Some(reader)
}

/// What is yet to be read. The tool gives every length beforehand.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// An item's head: major type and argument (RFC 8949 §3).
    fn head(&mut self) -> Option<(u8, u64)> {
        let first = *self.take(1)?.first()?;
        let argument = match first & 31 {
            small @ 0..24 => small.into(),
            size @ 24..28 => self.take(1 << (size - 24))?.iter().fold(0, |n, b| n << 8 | u64::from(*b)),
            _ => return None,
        };
        Some((first >> 5, argument))
    }

    /// The argument of an item of this type.
    fn argument(&mut self, major: u8) -> Option<u64> {
        self.head().filter(|head| head.0 == major).map(|head| head.1)
    }

    /// Passes over an item and all that is in it. Every step takes a byte at least, so a false length ends it too.
    fn skip(&mut self) -> Option<()> {
        let mut items: u64 = 1;
        while items > 0 {
            let inside = match self.head()? {
                (BYTES | TEXT, length) => self.take(length).map(|_| 0)?,
                (ARRAY, length) => length,
                (MAP, length) => length.checked_mul(2)?,
                (TAG, _) => 1,
                _ => 0,
            };
            items = (items - 1).checked_add(inside)?;
        }
        Some(())
    }

    /// A structure of which `known` fields are read; a newer tool may have written more.
    fn fields<T>(&mut self, known: u64, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let more = self.argument(ARRAY)?.checked_sub(known)?;
        let value = read(self)?;
        for _ in 0..more {
            self.skip()?;
        }
        Some(value)
    }

    fn list<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        for _ in 0..self.argument(ARRAY)? {
            list.push(read(self)?);
        }
        Some(list)
    }

    fn byte(&mut self) -> Option<u8> {
        self.argument(UNSIGNED)?.try_into().ok()
    }

    fn port(&mut self) -> Option<u16> {
        self.argument(UNSIGNED)?.try_into().ok()
    }

    fn protocol(&mut self) -> Option<Protocol> {
        match self.argument(UNSIGNED)? {
            0 => Some(Protocol::Tcp),
            1 => Some(Protocol::Udp),
            _ => None,
        }
    }

    fn listen(&mut self) -> Option<Listen> {
        self.fields(3, |r| Some(Listen { protocol: r.protocol()?, first_port: r.port()?, last_port: r.port()? }))
    }

    fn connect(&mut self) -> Option<Connect> {
        self.fields(4, |r| {
            Some(Connect { protocol: r.protocol()?, host: r.host()?, first_port: r.port()?, last_port: r.port()? })
        })
    }

    /// An enum is its variant's number and the array of the variant's fields.
    fn host(&mut self) -> Option<Host> {
        self.fields(2, |r| match r.argument(UNSIGNED)? {
            0 => r.fields(0, |_| Some(Host::Any)),
            1 => r.fields(1, |r| Some(Host::Name(r.text()?))),
            2 => r.fields(2, |r| Some(Host::Prefix(r.list(Reader::byte)?, r.byte()?))),
            _ => None,
        })
    }

    fn known(&mut self) -> Option<Known> {
        self.fields(2, |r| Some(Known { name: r.text()?, addresses: r.list(|r| r.list(Reader::byte))? }))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.argument(TEXT)?;
        core::str::from_utf8(self.take(length)?).ok().map(String::from)
    }
}
