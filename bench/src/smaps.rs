//! How much memory processes have, by what the kernel says of their mappings (proc(5), `/proc/PID/smaps`).
//!
//! Memory that a process shares is counted as that process's part of it (Pss), so that sums over many are right. What the
//! kernel keeps for a process (page tables, stacks, sockets, KVM's shadows) is in none of these numbers; [`available`] has
//! it, together with whatever else happens on the host.

use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs;

/// Kibibytes of a process, or of some of its mappings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that is resident, shared pages counted in full.
    pub resident: u64,
    /// What no other process has.
    pub private: u64,
    /// Its part of what it shares, and what it has alone.
    pub proportional: u64,
}

/// All of a process's memory.
pub fn of(process: u32) -> Result<Memory> {
    let text = read(process, "smaps_rollup")?;
    Ok(text.lines().fold(Memory::default(), Memory::with))
}

/// What a machine's process has beside the memory of its guest, which has `guest` bytes of RAM, all of them mapped.
pub fn beside_guest(process: u32, guest: u64) -> Result<Memory> {
    let mappings = mappings(&read(process, "smaps")?);
    beside(&mappings, guest).context("no stretch of its mappings is as large as the guest's memory")
}

/// Kibibytes that the host could give to a new program (proc(5), `MemAvailable`).
pub fn available() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let words = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).map(str::split_whitespace);
    let kib = words.and_then(|mut words| words.next()).context("/proc/meminfo has no MemAvailable")?;
    Ok(kib.parse()?)
}

/// The processes that `parent` has started and that are there.
pub fn children(parent: u32, parents: &HashMap<u32, u32>) -> impl Iterator<Item = u32> {
    parents.iter().filter(move |(_, p)| **p == parent).map(|(child, _)| *child)
}

/// Every process, with its parent.
pub fn parents() -> Result<HashMap<u32, u32>> {
    let processes = fs::read_dir("/proc").context("cannot read /proc")?;
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // One that has ended meanwhile is not there. The name, in parentheses, may hold anything; state and parent follow it.
    let parent = |process| {
        let text = read(process, "stat").ok()?;
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    Ok(numbers.filter_map(|process| Some((process, parent(process)?))).collect())
}

impl Memory {
    /// Adds what a line of `smaps` says, if it is about one of these.
    fn with(mut self, line: &str) -> Self {
        let mut words = line.split_whitespace();
        let (Some(name), Some(Ok(kib))) = (words.next(), words.next().map(str::parse::<u64>)) else { return self };
        match name {
            "Rss:" => self.resident += kib,
            "Private_Clean:" | "Private_Dirty:" => self.private += kib,
            "Pss:" => self.proportional += kib,
            _ => {}
        }
        self
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Memory {
            resident: self.resident + other.resident,
            private: self.private + other.private,
            proportional: self.proportional + other.proportional,
        }
    }
}

#[derive(Debug)]
struct Mapping {
    start: u64,
    end: u64,
    access: String,
    is_anonymous: bool,
    memory: Memory,
}

fn mappings(text: &str) -> Vec<Mapping> {
    let mut all: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        if let Some(mapping) = head(line) {
            all.push(mapping);
        } else if let Some(last) = all.last_mut() {
            last.memory = last.memory.with(line);
        }
    }
    all
}

/// `START-END ACCESS OFFSET DEVICE INODE [NAME]`.
fn head(line: &str) -> Option<Mapping> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (start, end) = words.first()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        start: address(start)?,
        end: address(end)?,
        access: (*words.get(1)?).to_owned(),
        is_anonymous: words.len() == 5,
        memory: Memory::default(),
    })
}

/// Everything but the guest's stretch: a run of adjacent anonymous mappings, as long as its memory at least. It begins with
/// the image's first segment, which is read-only, and ends where nothing is accessible any more. What is adjacent by chance
/// is counted as the monitor's, and so are the guest's page tables, which lie just below the image.
fn beside(mappings: &[Mapping], guest: u64) -> Option<Memory> {
    let is_next = |a: &Mapping, b: &Mapping| a.end == b.start && a.is_anonymous == b.is_anonymous;
    let run = mappings.chunk_by(is_next).filter(|run| run[0].is_anonymous).find_map(|run| {
        let first = run.iter().position(|m| m.access.starts_with("r--"))?;
        let reserve = |m: &Mapping| m.access.starts_with("---") && m.end - m.start >= guest / 2;
        let rest = run[first..].split(reserve).next()?;
        (rest.last()?.end - rest.first()?.start >= guest).then_some(rest)
    })?;
    let inside =
        |m: &&Mapping| run.first().is_some_and(|f| m.start >= f.start) && run.last().is_some_and(|l| m.end <= l.end);
    Some(mappings.iter().filter(|m| !inside(m)).fold(Memory::default(), |sum, m| sum.and(m.memory)))
}

fn read(process: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{process}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of 1 MiB: tables, image, stack, arena, the reserve behind it; and around it what is the monitor's.
    const SMAPS: &str = "\
10000-20000 r-xp 00000000 08:01 42 /usr/bin/ampoule
Rss: 40 kB
Pss: 20 kB
Private_Clean: 4 kB
100000-104000 rw-p 00000000 00:00 0 
Rss: 16 kB
Pss: 16 kB
Private_Dirty: 16 kB
104000-108000 r--p 00000000 00:00 0 
Rss: 1000 kB
108000-109000 ---p 00000000 00:00 0 
109000-209000 rw-p 00000000 00:00 0 
Rss: 1000 kB
Private_Dirty: 1000 kB
209000-309000 ---p 00000000 00:00 0 
309000-30a000 rw-p 00000000 00:00 0 
Rss: 4 kB
Pss: 4 kB
Private_Dirty: 4 kB
7ff000-800000 rw-p 00000000 00:00 0 [stack]
Rss: 4 kB
Pss: 2 kB
";

    #[test]
    fn the_guests_stretch_is_left_out() {
        let memory = beside(&mappings(SMAPS), 1 << 20).expect("found");
        assert_eq!(memory, Memory { resident: 64, private: 24, proportional: 42 });
        assert_eq!(beside(&mappings(SMAPS), 4 << 20), None, "there is no such stretch");
    }

    #[test]
    fn a_process_knows_its_parent_and_its_memory() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let parents = parents().expect("/proc");
        let found = children(std::process::id(), &parents).any(|process| process == child.id());
        let memory = of(child.id());
        child.kill().and_then(|()| child.wait()).expect("ended");
        assert!(found);
        assert!(memory.expect("read").resident > 0);
    }
}
