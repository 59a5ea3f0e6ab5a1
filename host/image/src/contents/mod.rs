//! What is in an image and why: crates by size, and the graph of what reaches what.
//!
//! Everything is read from two files, the image and the debug file beside it ([`crate::debug`]); neither the linker nor
//! the compiler does anything for it, so looking costs the image nothing. Three readings are laid over one another:
//!
//! - [`sources`]: DWARF says of each byte of code from which file it comes, and into which function it was inlined;
//! - [`graph`]: the disassembled code and the relocated words say which function or object refers to which;
//! - [`crate::record`]: what the build wrote down of its packages says what lies in which folder.
//!
//! Code counts for the crate whose source it is. Generic code of the standard library counts for the crate that uses it:
//! the nearest function around it that is not std's, or, where it was not inlined, the first other crate in the function's
//! name. Data counts for the crate whose code refers to it, if it has no name that says whose it is; what code of several crates
//! refers to is shared.

pub mod diff;
mod elf;
pub mod graph;
mod owners;
mod reach;
mod sizes;
mod sources;
pub mod why;

use crate::debug::DebugError;
use crate::record::Record;
use crate::{Image, debug};
pub use owners::{Group, Owner};
pub use reach::{Device, Reach};
pub use sizes::{Function, Sizes};

/// Why an image's contents cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// the debug file does not help
    #[error(transparent)]
    Debug(#[from] DebugError),
    /// its debugging information is damaged
    #[error("the debug file's debugging information is damaged: {0}; build both again")]
    Dwarf(#[from] gimli::Error),
    /// its program is not one that can have been sealed
    #[error("the debug file is damaged: {0}; build both again")]
    Program(#[from] crate::SealError),
    /// its ELF part cannot be read
    #[error("the debug file is damaged: {0}; build both again")]
    Elf(#[from] object::read::Error),
}

/// What a crate brings into the image. All sizes in bytes.
#[derive(Clone, Debug)]
pub struct Crate {
    /// Which.
    pub owner: Owner,
    /// What it takes.
    pub sizes: Sizes,
    /// What would not be in the image but for it: its functions, and what nothing else reaches.
    pub brings: u64,
    /// Lines of its code inside `unsafe`; `None` where the build had no sources of it.
    pub unsafe_lines: Option<UnsafeLines>,
    /// Its functions, largest first: the bytes in each that count for this crate.
    pub functions: Vec<Function>,
}

/// Lines of code inside `unsafe` blocks and the bodies of unsafe functions, blank lines and comments left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsafeLines {
    /// Those that code in the image was made of.
    pub in_image: u64,
    /// All in the crate's sources.
    pub in_sources: u64,
}

/// Everything there is to say of what is inside.
#[derive(Debug)]
pub struct Contents {
    /// The crates, largest first.
    pub crates: Vec<Crate>,
    /// The sum of all.
    pub total: Sizes,
    /// What the program can ask of its surroundings.
    pub reach: Reach,
    /// What the build wrote down of its packages, if it did.
    pub record: Option<Record>,
    /// What reaches what.
    pub graph: graph::Graph,
    owner_ids: Vec<(Owner, owners::OwnerId)>,
}

impl Contents {
    /// Reads an image's contents by the debug file that belongs to it.
    ///
    /// # Errors
    /// The debug file is none, is another image's, or is damaged.
    pub fn read(image: &Image, debug_file: &[u8]) -> Result<Contents, ContentsError> {
        let (elf_bytes, shift) = debug::read(debug_file, Some(image.digest()))?;
        let record = debug::record(debug_file)?;
        let elf = elf::Program::read(elf_bytes, image, shift)?;
        let mut owners = owners::Owners::new(record.as_ref());
        let sources = sources::Sources::read(elf_bytes, &mut owners)?;
        let graph = graph::Graph::build(&elf, &sources, &mut owners);
        let reach = Reach::read(&graph, record.as_ref(), &owners);
        let (mut crates, total) = sizes::crates(&elf, &sources, &graph, &owners);
        let unsafe_lines = sizes::unsafe_lines(record.as_ref(), &sources);
        for entry in &mut crates {
            entry.unsafe_lines = unsafe_lines.get(&entry.owner).copied();
        }
        let owner_ids = owners.all().map(|id| (owners.get(id).clone(), id)).collect();
        Ok(Contents { crates, total, reach, record, graph, owner_ids })
    }
}
