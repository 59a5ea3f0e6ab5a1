//! What `/tmp` begins with: whatever the sealed files have below that name, copied, and from then on like everything there.
//!
//! A manifest seals nothing there; the tests of a package that lies below `/tmp` find it where it is.

use super::{Body, Data, Id, TOP, Tmp};
use crate::attributes::Time;
use crate::error::Result;
use abi::files::{Entry, Files};
use alloc::collections::BTreeMap;

/// Copies it. Gives the node that the sealed directory to start in has become, if it is one of these.
///
/// Where memory ends, what comes later is not there.
pub(crate) fn seed(tmp: &mut Tmp, files: &Files<'_>) -> Option<Id> {
    let now = Time { seconds: files.time_s() as i64, nanoseconds: 0 };
    let top = files.child(0, b"tmp")?;
    // A checked table's directories come before what is in them.
    let mut nodes = BTreeMap::from([(top, TOP)]);
    for number in top + 1..files.len() {
        let Some(entry) = files.entry(number) else { break };
        let Some(parent) = nodes.get(&entry.parent).copied() else { continue };
        match copy(tmp, files, &entry, parent, now) {
            Ok(id) => _ = nodes.insert(number, id),
            Err(_) => break,
        }
    }
    nodes.get(&files.start()).copied()
}

fn copy(tmp: &mut Tmp, files: &Files<'_>, entry: &Entry, parent: Id, now: Time) -> Result<Id> {
    let name = files.name(entry).unwrap_or_default();
    let content = files.content(entry);
    tmp.space.has_room(name.len())?;
    let id = match content {
        Some(_) => tmp.make(Body::File(Data::default()), 0o644, now)?,
        None => tmp.make(Body::Directory { parent, entries: BTreeMap::new() }, 0o755, now)?,
    };
    let filled = content.map_or(Ok(()), |bytes| fill(tmp, id, bytes));
    if let Err(error) = filled.and_then(|()| tmp.add(parent, name, id, now)) {
        tmp.sweep(id);
        return Err(error);
    }
    Ok(id)
}

fn fill(tmp: &mut Tmp, id: Id, bytes: &[u8]) -> Result<()> {
    let (node, space) = tmp.file_mut(id)?;
    let data = node.data_mut()?;
    let mut done = 0;
    while done < bytes.len() {
        done += data.write(done as u64, &bytes[done..], space)?;
    }
    Ok(())
}
