//! What processes have done so far, by the kernel's own accounts (proc(5)): CPU time, and how often they woke.

use crate::smaps;
use anyhow::{Context, Result};
use std::fs;

/// Since they were started, all threads together. A virtual CPU's time in its guest is its thread's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// CPU time, ns (`/proc/PID/task/TID/schedstat`).
    pub cpu_ns: u64,
    /// How often a thread that had waited went on (`voluntary_ctxt_switches`).
    pub wakes: u64,
}

/// A process and all that it started, and they in turn.
pub fn family(process: u32) -> Result<Vec<u32>> {
    let parents = smaps::parents()?;
    let mut family = vec![process];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(smaps::children(parent, &parents));
        next += 1;
    }
    Ok(family)
}

/// Of a process and all that it started. The same processes must be there the next time, or the difference means nothing.
pub fn of(processes: &[u32]) -> Result<Activity> {
    let mut sum = Activity::default();
    for process in processes {
        let folder = format!("/proc/{process}/task");
        for task in fs::read_dir(&folder).with_context(|| format!("process {process} has ended"))? {
            let task = task?.path();
            let read = |file: &str| {
                let path = task.join(file);
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
            };
            let time = read("schedstat")?;
            sum.cpu_ns += time.split(' ').next().context("schedstat is empty")?.parse::<u64>()?;
            let status = read("status")?;
            let wakes = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum.wakes += wakes.context("no count of context switches")?.trim().parse::<u64>()?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Running;
    use std::process::Command;

    #[test]
    fn what_sleeps_takes_no_time_and_what_spins_does() {
        let start = |script: &str| Running(Command::new("sh").args(["-c", script]).spawn().expect("sh"));
        let (asleep, busy) = (start("sleep 60 & wait"), start("while :; do :; done"));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let family = family(asleep.0.id()).expect("a family");
        let before = of(&family).expect("accounts");
        std::thread::sleep(std::time::Duration::from_millis(300));
        let after = of(&family).expect("accounts");
        let child = family.get(1).copied();
        let busy = of(&[busy.0.id()]).expect("accounts");
        drop(asleep);
        Command::new("kill").arg(child.expect("a child").to_string()).status().expect("ended");
        assert_eq!(before, after);
        assert!(busy.cpu_ns > 20_000_000, "{busy:?}");
    }
}
