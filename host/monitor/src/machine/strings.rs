//! Arguments and environment, as the boot information wants them.

use crate::{Error, Options, Program};
use abi::image::LinkRange;

/// Arguments and environment: NUL-terminated, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strings {
    pub(crate) bytes: Vec<u8>,
    pub(crate) arguments: u64,
    pub(crate) environment: u64,
}

impl Strings {
    /// What the manifest says, and over it what the operator says.
    pub(crate) fn of(program: &Program<'_>, options: &Options) -> Result<Self, Error> {
        let manifest = program.manifest;
        let mut strings = Self::default();
        let own: Vec<String>;
        let arguments = match &options.arguments {
            Some(arguments) => arguments,
            None => {
                own = std::iter::once(&manifest.name).chain(&manifest.arguments).cloned().collect();
                &own
            }
        };
        for argument in arguments {
            strings.push(argument)?;
            strings.arguments += 1;
        }
        let replaced = |entry: &&String| !options.environment.iter().any(|e| name(e) == name(entry));
        for entry in manifest.environment.iter().filter(replaced).chain(&options.environment) {
            strings.push(entry)?;
            strings.environment += 1;
        }
        Ok(strings)
    }

    fn push(&mut self, text: &str) -> Result<(), Error> {
        if text.contains('\0') {
            return Err(Error::NulByte(text.into()));
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        Ok(())
    }
}

/// What stands before the `=`.
fn name(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// The bytes of a range of link addresses in the file, if one segment gives all of them.
pub(crate) fn file_range<'a>(program: &Program<'a>, range: LinkRange) -> Option<&'a [u8]> {
    if range.length == 0 {
        return Some(&[]);
    }
    let header = program.header;
    let count = usize::try_from(header.segment_count).ok()?;
    header.segments.get(..count)?.iter().find_map(|segment| {
        let offset = range.address.checked_sub(segment.address)?;
        let end = offset.checked_add(range.length).filter(|end| *end <= segment.file_length)?;
        let at = |o: u64| usize::try_from(segment.file_offset.checked_add(o)?).ok();
        program.bytes.get(at(offset)?..at(end)?)
    })
}
