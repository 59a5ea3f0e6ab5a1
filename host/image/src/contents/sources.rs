//! From which source each byte of code comes, and into which functions it was inlined (DWARF 4 and 5).

use super::owners::{OwnerId, Owners, UNKNOWN};
use crate::debug::DebugError;
use gimli::{AttributeValue, EndianSlice, LittleEndian, UnitOffset};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _};
use std::collections::{BTreeMap, HashMap, HashSet};

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;
type Unit<'a> = gimli::Unit<Slice<'a>>;

/// A source file.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    /// Its path, as the compiler was told to write it.
    pub(super) path: String,
    pub(super) owner: OwnerId,
}

/// The code that an inlined function was made of, within one range of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inlined<'a> {
    /// The function's name as the linker would have it, or as written in C.
    pub(super) name: &'a str,
    /// Has it a mangled name?
    pub(super) is_mangled: bool,
    /// The file that it was called in.
    caller: u32,
    /// What encloses it: another of these, or nothing.
    pub(super) parent: Option<u32>,
}

/// A row of the line table, valid up to the next.
#[derive(Clone, Copy, Debug)]
struct Row {
    address: u64,
    /// `None` at the end of a sequence.
    file: Option<u32>,
    line: u32,
}

/// What the debugging information says.
pub(super) struct Sources<'a> {
    pub(super) files: Vec<SourceFile>,
    pub(super) inlined: Vec<Inlined<'a>>,
    /// From each address on, until the next: the innermost inlined function.
    scopes: Vec<(u64, Option<u32>)>,
    rows: Vec<Row>,
    /// Bytes of debugging information by owner.
    pub(super) debug_bytes: HashMap<OwnerId, u64>,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The innermost inlined function, an index into [`Sources::inlined`].
    pub(super) inlined: Option<u32>,
    /// The file it comes from, an index into [`Sources::files`], and the line there.
    pub(super) file: Option<(u32, u32)>,
    /// Up to where this holds.
    pub(super) end: u64,
}

impl<'a> Sources<'a> {
    pub(super) fn read(elf: &'a [u8], owners: &mut Owners) -> Result<Self, super::ContentsError> {
        let elf = ElfFile64::<object::LittleEndian>::parse(elf).map_err(DebugError::from)?;
        let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
            let data = elf.section_by_name(id.name()).and_then(|s| s.data().ok()).unwrap_or_default();
            Ok(EndianSlice::new(data, LittleEndian))
        };
        let dwarf = gimli::Dwarf::load(section)?;
        let mut reader = Reader {
            dwarf: &dwarf,
            owners,
            ids: HashMap::new(),
            ranges: Vec::new(),
            starts: HashSet::new(),
            sequences: BTreeMap::new(),
            out: Sources::empty(),
        };
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let bytes = header.length_including_self() as u64;
            let unit = dwarf.unit(header)?;
            reader.unit(&unit, bytes)?;
        }
        let Reader { mut ranges, mut out, sequences, .. } = reader;
        out.scopes = scopes(&mut ranges);
        out.rows = rows(sequences);
        Ok(out)
    }

    fn empty() -> Self {
        Sources {
            files: Vec::new(),
            inlined: Vec::new(),
            scopes: Vec::new(),
            rows: Vec::new(),
            debug_bytes: HashMap::new(),
        }
    }

    /// What is known of an address.
    pub(super) fn place(&self, address: u64) -> Place {
        let scope = self.scopes.partition_point(|s| s.0 <= address);
        let row = self.rows.partition_point(|r| r.address <= address);
        let here = row.checked_sub(1).map(|i| self.rows[i]);
        let ends = [self.scopes.get(scope).map(|s| s.0), self.rows.get(row).map(|r| r.address)];
        Place {
            inlined: scope.checked_sub(1).and_then(|i| self.scopes[i].1),
            file: here.and_then(|row| Some((row.file?, row.line))),
            end: ends.into_iter().flatten().min().unwrap_or(u64::MAX),
        }
    }

    /// The functions at a place, from the innermost to the one that is there by itself: an index into [`Sources::inlined`], but
    /// for the last, and the file it is written in, if that is known.
    pub(super) fn frames(&self, place: &Place) -> impl Iterator<Item = (Option<u32>, Option<u32>)> + '_ {
        let first = (place.inlined, place.file.map(|(file, _)| file));
        std::iter::successors(Some(first), |(inlined, _)| {
            let scope = self.inlined[(*inlined)? as usize];
            Some((scope.parent, Some(scope.caller).filter(|f| (*f as usize) < self.files.len())))
        })
    }

    /// Whose the functions at a place are, from the innermost to the one that is there by itself.
    pub(super) fn chain(&self, place: &Place) -> impl Iterator<Item = OwnerId> + '_ {
        self.frames(place).map(|(_, file)| file.map_or(UNKNOWN, |f| self.files[f as usize].owner))
    }

    /// Whose code it is, in a function of `function`'s.
    pub(super) fn owner(&self, place: &Place, function: OwnerId, owners: &Owners) -> OwnerId {
        let mut chain = self.chain(place).filter(|id| *id != UNKNOWN);
        chain.find(|id| !owners.is_std(*id)).unwrap_or(function)
    }

    /// The functions that were inlined at a place, innermost first, each with the file it is written in.
    pub(super) fn inlined_at(&self, place: &Place) -> impl Iterator<Item = (u32, Option<u32>)> + '_ {
        self.frames(place).filter_map(|(inlined, file)| Some((inlined?, file)))
    }

    /// The name of an inlined function, readable. Line tables have bare names of most; of those the file gives the path.
    pub(super) fn inlined_name(&self, index: u32, file: Option<u32>, owners: &Owners) -> Option<String> {
        let Inlined { name, is_mangled, .. } = self.inlined[index as usize];
        if name.is_empty() || is_mangled {
            return (!name.is_empty()).then(|| super::owners::readable(name));
        }
        let Some(file) = file.map(|f| &self.files[f as usize]) else { return Some(name.into()) };
        let module = file.path.rsplit_once("/src/").map_or("", |(_, module)| module).trim_end_matches(".rs");
        let module = module.trim_end_matches("/mod").replace('/', "::");
        let owner = owners.get(file.owner).name.replace('-', "_");
        Some(match module.as_str() {
            "" | "lib" | "main" | "mod" => format!("{owner}::{name}"),
            module => format!("{owner}::{module}::{name}"),
        })
    }

    /// All lines that code comes from: file and line.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.rows.iter().filter_map(|row| Some((row.file?, row.line)))
    }
}

struct Reader<'r, 'a> {
    dwarf: &'r Dwarf<'a>,
    owners: &'r mut Owners,
    ids: HashMap<String, u32>,
    /// First and last address, depth, and the inlined function.
    ranges: Vec<(u64, u64, isize, u32)>,
    /// Where the functions of the unit begin.
    starts: HashSet<u64>,
    /// Rows by where they begin. Of functions that were folded into one each unit has some; those of the unit that
    /// describes the function that is left count.
    sequences: BTreeMap<u64, (bool, Vec<Row>)>,
    out: Sources<'a>,
}

/// No file: what called an inlined function is not said.
const NOWHERE: u32 = u32::MAX;

impl<'a> Reader<'_, 'a> {
    fn unit(&mut self, unit: &Unit<'a>, bytes: u64) -> Result<(), gimli::Error> {
        let files = self.files(unit)?;
        self.starts.clear();
        self.entries(unit, &files)?;
        self.lines(unit, &files)?;
        let folder = unit.comp_dir.as_ref().map(|d| d.to_string_lossy()).unwrap_or_default();
        let name = unit.name.as_ref().map(|n| n.to_string_lossy()).unwrap_or_default();
        // rustc names a unit FOLDER/src/lib.rs/@/CRATE.HASH-cgu.0.
        let path = join(&folder, name.split("/@/").next().unwrap_or_default());
        let owner = self.owners.of_folder(folder_of(&path));
        let lines = unit.line_program.as_ref().map_or(0, |p| {
            let header = p.header();
            header.unit_length() as u64 + 4
        });
        *self.out.debug_bytes.entry(owner).or_default() += bytes + lines;
        Ok(())
    }

    /// The unit's files by their number in it.
    fn files(&mut self, unit: &Unit<'a>) -> Result<Vec<u32>, gimli::Error> {
        let Some(program) = &unit.line_program else { return Ok(Vec::new()) };
        let header = program.header();
        let folder = unit.comp_dir.as_ref().map(|d| d.to_string_lossy()).unwrap_or_default();
        let first = usize::from(header.version() < 5);
        let mut files = vec![NOWHERE; first];
        for (index, file) in header.file_names().iter().enumerate() {
            let name = self.dwarf.attr_string(unit, file.path_name())?;
            let directory = match file.directory(header) {
                Some(directory) => self.dwarf.attr_string(unit, directory)?.to_string_lossy().into_owned(),
                None => String::new(),
            };
            let path = join(&join(&folder, &directory), &name.to_string_lossy());
            debug_assert_eq!(files.len(), index + first);
            files.push(self.file(path));
        }
        Ok(files)
    }

    fn file(&mut self, path: String) -> u32 {
        if let Some(&id) = self.ids.get(&path) {
            return id;
        }
        let id = self.out.files.len() as u32;
        let owner = self.owners.of_folder(folder_of(&path));
        self.ids.insert(path.clone(), id);
        self.out.files.push(SourceFile { path, owner });
        id
    }

    fn lines(&mut self, unit: &Unit<'a>, files: &[u32]) -> Result<(), gimli::Error> {
        let Some(program) = unit.line_program.clone() else { return Ok(()) };
        let mut rows = program.rows();
        let mut sequence: Vec<Row> = Vec::new();
        while let Some((_, row)) = rows.next_row()? {
            let is_end = row.end_sequence();
            let file = files.get(row.file_index() as usize).copied().filter(|f| *f != NOWHERE && !is_end);
            let line = row.line().map_or(0, |l| l.get() as u32);
            sequence.push(Row { address: row.address(), file, line });
            if is_end {
                let start = sequence.first().map_or(0, |r| r.address);
                let is_described = self.starts.contains(&start);
                let rows = std::mem::take(&mut sequence);
                // Sequences of functions that the linker dropped begin at 0.
                if start != 0 && self.sequences.get(&start).is_none_or(|(known, _)| is_described && !known) {
                    self.sequences.insert(start, (is_described, rows));
                }
            }
        }
        Ok(())
    }

    fn entries(&mut self, unit: &Unit<'a>, files: &[u32]) -> Result<(), gimli::Error> {
        let mut names: HashMap<UnitOffset, (&'a str, bool)> = HashMap::new();
        let mut open: Vec<(isize, u32)> = Vec::new();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            let depth = entry.depth();
            while open.last().is_some_and(|(d, _)| *d >= depth) {
                open.pop();
            }
            if entry.tag() == gimli::DW_TAG_subprogram
                && let Some(AttributeValue::Addr(start)) = entry.attr_value(gimli::DW_AT_low_pc)
            {
                self.starts.insert(start);
            }
            if entry.tag() != gimli::DW_TAG_inlined_subroutine {
                continue;
            }
            let origin = entry.attr_value(gimli::DW_AT_abstract_origin);
            let (name, is_mangled) = match origin {
                Some(AttributeValue::UnitRef(offset)) => match names.get(&offset) {
                    Some(name) => *name,
                    None => {
                        let name = self.name(unit, offset)?;
                        names.insert(offset, name);
                        name
                    }
                },
                Some(AttributeValue::DebugInfoRef(offset)) => self.name_elsewhere(offset)?,
                _ => ("", false),
            };
            let caller = match entry.attr_value(gimli::DW_AT_call_file) {
                Some(AttributeValue::FileIndex(index)) => files.get(index as usize).copied(),
                Some(value) => value.udata_value().and_then(|index| files.get(index as usize).copied()),
                None => None,
            };
            let index = self.out.inlined.len() as u32;
            let parent = open.last().map(|(_, index)| *index);
            self.out.inlined.push(Inlined { name, is_mangled, caller: caller.unwrap_or(NOWHERE), parent });
            open.push((depth, index));
            self.ranges_of(unit, entry, depth, index)?;
        }
        Ok(())
    }

    /// Where the code of an inlined function lies. (gimli's own `die_ranges` adds without a check, and a damaged file makes that
    /// overflow.)
    fn ranges_of(
        &mut self,
        unit: &Unit<'a>,
        entry: &gimli::DebuggingInformationEntry<Slice<'a>>,
        depth: isize,
        index: u32,
    ) -> Result<(), gimli::Error> {
        let mut push = |begin: u64, end: u64| {
            if begin != 0 && begin < end {
                self.ranges.push((begin, end, depth, index));
            }
        };
        if let Some(AttributeValue::Addr(begin)) = entry.attr_value(gimli::DW_AT_low_pc) {
            match entry.attr_value(gimli::DW_AT_high_pc) {
                Some(AttributeValue::Addr(end)) => push(begin, end),
                Some(length) => push(begin, begin.saturating_add(length.udata_value().unwrap_or(0))),
                None => {}
            }
        }
        if let Some(value) = entry.attr_value(gimli::DW_AT_ranges)
            && let Some(mut ranges) = self.dwarf.attr_ranges(unit, value)?
        {
            while let Some(range) = ranges.next()? {
                push(range.begin, range.end);
            }
        }
        Ok(())
    }

    /// The name of a function that is inlined: the linker's, or what is written.
    fn name(&self, unit: &Unit<'a>, offset: UnitOffset) -> Result<(&'a str, bool), gimli::Error> {
        let entry = unit.entry(offset)?;
        for (attribute, is_mangled) in [(gimli::DW_AT_linkage_name, true), (gimli::DW_AT_name, false)] {
            if let Some(value) = entry.attr_value(attribute) {
                let text = self.dwarf.attr_string(unit, value)?;
                return Ok((std::str::from_utf8(text.slice()).unwrap_or_default(), is_mangled));
            }
        }
        Ok(("", false))
    }

    /// The same for a function of another unit.
    fn name_elsewhere(&self, offset: gimli::DebugInfoOffset) -> Result<(&'a str, bool), gimli::Error> {
        let mut units = self.dwarf.units();
        while let Some(header) = units.next()? {
            if let Some(inside) = offset.to_unit_offset(&header) {
                return self.name(&self.dwarf.unit(header)?, inside);
            }
        }
        Ok(("", false))
    }
}

/// All rows, ascending. Where a sequence ends and another begins, that one counts; what reaches into the next is cut off.
fn rows(sequences: BTreeMap<u64, (bool, Vec<Row>)>) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::new();
    for (start, (_, rows)) in sequences {
        let keep = out.partition_point(|row| row.address < start);
        out.truncate(keep);
        let mut last = start;
        out.extend(rows.into_iter().take_while(|row| {
            let is_after = row.address >= last;
            last = row.address;
            is_after
        }));
    }
    out
}

/// Nested ranges as changes of the innermost one.
fn scopes(ranges: &mut [(u64, u64, isize, u32)]) -> Vec<(u64, Option<u32>)> {
    ranges.sort_by_key(|(begin, end, depth, index)| (*begin, *depth, std::cmp::Reverse(*end), *index));
    let mut out: Vec<(u64, Option<u32>)> = Vec::new();
    let mut change = |address: u64, index: Option<u32>| match out.last_mut() {
        Some(last) if last.0 == address => last.1 = index,
        _ => out.push((address, index)),
    };
    let mut open: Vec<(u64, u32)> = Vec::new();
    for &(begin, end, _, index) in ranges.iter() {
        while let Some(&(closes, _)) = open.last().filter(|(closes, _)| *closes <= begin) {
            open.pop();
            change(closes, open.last().map(|(_, index)| *index));
        }
        // A part of a function that reaches beyond what encloses it would be nonsense: it is cut off there.
        let end = open.last().map_or(end, |(closes, _)| end.min(*closes));
        open.push((end, index));
        change(begin, Some(index));
    }
    while let Some((closes, _)) = open.pop() {
        change(closes, open.last().map(|(_, index)| *index));
    }
    out
}

/// A path below a folder, unless it is absolute itself; `..` taken away.
fn join(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') || folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
    if !whole.contains("/../") {
        return whole;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            ".." if parts.len() > 1 => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_nest() {
        let mut ranges = [(10, 50, 1, 0), (20, 30, 2, 1), (20, 25, 3, 2), (60, 70, 1, 3)];
        let expected =
            [(10, Some(0)), (20, Some(2)), (25, Some(1)), (30, Some(0)), (50, None), (60, Some(3)), (70, None)];
        assert_eq!(scopes(&mut ranges), expected);
    }

    #[test]
    fn paths_are_joined() {
        assert_eq!(join("/rustc/1", "library/core/src/../../stdarch/x.rs"), "/rustc/1/library/stdarch/x.rs");
        assert_eq!(join("/a", "/b/c.rs"), "/b/c.rs");
        assert_eq!(folder_of("/a/b.rs"), "/a");
    }
}
