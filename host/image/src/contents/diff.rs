//! What grew from one image to another.

use super::{Contents, Sizes};
use std::collections::BTreeMap;

/// A thing's size before and after; 0 where it was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// A crate's or a function's name, without a version.
    pub name: String,
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
}

impl Change {
    /// By how much it grew.
    pub fn growth(&self) -> i64 {
        self.after as i64 - self.before as i64
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// The images' files.
    pub file: Change,
    /// Text and data by crate, what grew most first; those that did not change are left out.
    pub crates: Vec<Change>,
    /// Code by function, in the same order.
    pub functions: Vec<Change>,
}

/// Compares two images' contents. The numbers are the lengths of their files.
pub fn diff(before: (&Contents, u64), after: (&Contents, u64)) -> Diff {
    let in_file = |sizes: &Sizes| sizes.in_file();
    let crates = |contents: &Contents| sums(contents.crates.iter().map(|c| (c.owner.name.clone(), in_file(&c.sizes))));
    let functions = |contents: &Contents| {
        let functions = contents.graph.nodes.iter().filter(|n| n.is_function);
        sums(functions.map(|n| (n.names.first().cloned().unwrap_or_default(), n.length)))
    };
    Diff {
        file: Change { name: "file".into(), before: before.1, after: after.1 },
        crates: changes(crates(before.0), crates(after.0)),
        functions: changes(functions(before.0), functions(after.0)),
    }
}

/// Versions of a crate, and instances of a generic function, are one.
fn sums(all: impl Iterator<Item = (String, u64)>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    all.for_each(|(name, bytes)| *sums.entry(name).or_default() += bytes);
    sums
}

fn changes(before: BTreeMap<String, u64>, mut after: BTreeMap<String, u64>) -> Vec<Change> {
    let mut changes: Vec<Change> = before
        .into_iter()
        .map(|(name, before)| {
            let after = after.remove(&name).unwrap_or(0);
            Change { name, before, after }
        })
        .collect();
    changes.extend(after.into_iter().map(|(name, after)| Change { name, before: 0, after }));
    changes.retain(|change| change.before != change.after);
    changes.sort_by(|a, b| b.growth().cmp(&a.growth()).then_with(|| a.name.cmp(&b.name)));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_most_comes_first() {
        let map = |all: &[(&str, u64)]| sums(all.iter().map(|(n, b)| ((*n).to_owned(), *b)));
        let changes = changes(map(&[("a", 10), ("b", 20), ("c", 5)]), map(&[("a", 15), ("b", 20), ("d", 50)]));
        let all: Vec<_> = changes.iter().map(|c| (c.name.as_str(), c.growth())).collect();
        assert_eq!(all, [("d", 50), ("a", 5), ("c", -5)]);
    }
}
