//! What a machine's processes use: CPU time and memory, as the host's kernel counts them.

use std::fs;
use std::time::Duration;

use rustix::process::Pid;

/// Levels of processes below a runner that are looked at; there is one.
const DEPTH: u32 = 4;

/// What some processes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since they were started, in all.
    pub cpu: Duration,
    /// Resident memory in bytes. Where the kernel says it, pages that several processes share count in parts
    /// (proportional set size).
    pub memory: u64,
}

impl Usage {
    /// What a process and all that it has started use; `None` if it has ended.
    pub(crate) fn of_tree(pid: Pid) -> Option<Self> {
        let mut all = Self::default();
        add(pid.as_raw_nonzero().get(), DEPTH, &mut all).then_some(all)
    }
}

/// Adds a process and those below it; false if it has ended.
fn add(pid: i32, depth: u32, sum: &mut Usage) -> bool {
    let Some(cpu) = cpu(pid) else { return false };
    sum.cpu += cpu;
    sum.memory += memory(pid).unwrap_or(0);
    if depth > 0 {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_ascii_whitespace().filter_map(|child| child.parse().ok()) {
            add(child, depth - 1, sum);
        }
    }
    true
}

/// CPU time of a process that has not ended (proc_pid_stat(5), fields 3, 14 and 15).
fn cpu(pid: i32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    let mut ticks = fields.skip(10).map(|field| field.parse::<u64>().ok());
    let ticks = ticks.next()?? + ticks.next()??;
    let rate = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_secs(ticks / rate) + Duration::from_secs(ticks % rate) / u32::try_from(rate).ok()?)
}

/// Resident bytes: in parts (proc_pid_smaps_rollup(5)) where we may read that, otherwise all (proc_pid_statm(5)).
fn memory(pid: i32) -> Option<u64> {
    let parts = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    });
    parts.or_else(|| {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * rustix::param::page_size() as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    #[test]
    fn a_tree_is_summed_up() {
        // A shell that waits for another one which has used CPU time and now sleeps.
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; sleep 60' & wait";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = shell.spawn().expect("a shell");
        let mut line = [0; 5];
        std::io::Read::read_exact(&mut child.stdout.take().expect("piped"), &mut line).expect("it comes to that");
        let pid = Pid::from_child(&child);
        let own = cpu(child.id() as i32).expect("it lives");
        let all = Usage::of_tree(pid).expect("it lives");
        assert!(all.cpu > own, "{all:?}, the first alone {own:?}");
        assert!(all.memory > memory(child.id() as i32).expect("it lives"));
        rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).expect("ours");
        child.wait().expect("ours");
        assert_eq!(Usage::of_tree(pid), None);
    }
}
