//! The emulated computer: an AMD CPU with SVM, Debian's kernel, and a RAM disk with `nested-init` as all its user space.
//!
//! Its first serial port is the kernel's console and goes to a file; on the second one `nested-init` says how each command
//! ended (`bench/guest-init/src/nested.rs` has the words).

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ampoule_tests::machine::End;
use anyhow::{Context, Result, bail, ensure};
use bench::cpio::Archive;
use bench::linux_guest::Kernel;

use super::cases::{self, Case};

/// How long one computer may take for everything.
const BOUND: Duration = Duration::from_secs(600);

/// KVM for AMD's CPUs, in the order in which to load it, below `lib/modules/VERSION/kernel`. The second is there where
/// kvm-amd was built with support for encrypted memory.
const MODULES: [&str; 4] =
    ["virt/lib/irqbypass.ko", "drivers/crypto/ccp/ccp.ko", "arch/x86/kvm/kvm.ko", "arch/x86/kvm/kvm-amd.ko"];

/// `quirk.rs` of the monitor says why. The kernel gives a word like this to its first process as a variable.
const SWITCH: &str = "AMPOULE_TEST_ON_EMULATED_SVM=1";

/// Writes the RAM disk, and gives its path.
pub(crate) fn disk(kernel: &Kernel, cache: &Path, init: &Path, tool: &Path, cases: &[Case]) -> Result<PathBuf> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sys", "tmp", "images"] {
        archive.directory(directory);
    }
    archive.program("init", &read(init)?);
    archive.program("ampoule", &read(tool)?);
    kernel.add_modules(&MODULES, &mut archive)?;
    let mut files = BTreeSet::new();
    let mut commands = String::new();
    for case in cases {
        for file in [Some(case.image.clone()), case.symbols()].into_iter().flatten() {
            if !files.contains(&file) {
                archive.file(&cases::file_name(&file)?, &read(&file)?);
                files.insert(file);
            }
        }
        commands += &(case.command()? + "\n");
    }
    archive.file("commands", commands.as_bytes());
    let path = cache.join("nested.cpio");
    fs::write(&path, archive.finish()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A running computer, ended when it is dropped.
pub(crate) struct Computer {
    qemu: Child,
    lines: Receiver<String>,
    deadline: Instant,
}

/// How one command ended.
pub(crate) struct Ended {
    pub(crate) time: Duration,
    how: String,
    output: String,
}

impl Computer {
    /// Boots it. The kernel's console goes to `log`.
    pub(crate) fn start(kernel: &Kernel, disk: &Path, npt: bool, log: &Path) -> Result<Self> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-machine", "q35,accel=tcg", "-cpu", "max,+svm", "-smp", "1", "-m", "1G"]);
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(disk);
        let npt = u8::from(npt);
        qemu.args(["-append", &format!("console=ttyS0 panic=-1 kvm_amd.npt={npt} {SWITCH}")]);
        qemu.arg("-serial").arg(format!("file:{}", log.display())).args(["-serial", "stdio"]);
        let mut qemu =
            qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start qemu-system-x86_64")?;
        let output = qemu.stdout.take();
        let (sender, lines) = channel();
        thread::spawn(move || {
            let Some(output) = output else { return };
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).replace('\r', "")).is_err() {
                    return;
                }
            }
        });
        Ok(Self { qemu, lines, deadline: Instant::now() + BOUND })
    }

    /// Makes sure that its KVM is of the kind that is wanted.
    pub(crate) fn ready(&mut self, npt: bool) -> Result<()> {
        let (line, wanted) = (self.line()?, format!("parameter kvm_amd.npt={}", if npt { "Y" } else { "N" }));
        ensure!(line == wanted, "it says `{line}` where `{wanted}` was due");
        Ok(())
    }

    /// The next command's end; `number` is what it has to be.
    pub(crate) fn result(&mut self, number: usize) -> Result<Ended> {
        let begin = self.line()?;
        ensure!(begin == format!("run {number}"), "it says `{begin}` where `run {number}` was due");
        let mut output = String::new();
        loop {
            let line = self.line().with_context(|| format!("so far it printed:\n{output}"))?;
            match line.strip_prefix("| ") {
                Some(line) => output += &(line.to_owned() + "\n"),
                None => return ended(number, &line, output),
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<()> {
        let line = self.line()?;
        ensure!(line == "done", "it says `{line}` instead of `done`");
        while self.line().is_ok() {}
        let status = self.qemu.wait()?;
        ensure!(status.success(), "QEMU ended with {status}");
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("it has not ended within {} s", BOUND.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("it has ended early"),
        }
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        _ = self.qemu.kill();
        _ = self.qemu.wait();
    }
}

impl Ended {
    /// As a run on this computer would be told. What has no status is a failure.
    pub(crate) fn into_end(self) -> Result<End> {
        match self.how.strip_prefix("status ").and_then(|status| status.parse().ok()) {
            Some(status) => Ok(End { status, output: self.output, errors: String::new() }),
            None => bail!("{}\n{}", self.how, self.output),
        }
    }
}

/// `end N HOW ms T`.
fn ended(number: usize, line: &str, output: String) -> Result<Ended> {
    let parts = line.strip_prefix(&format!("end {number} ")).and_then(|rest| rest.rsplit_once(" ms "));
    let parts = parts.and_then(|(how, time)| Some((how.to_owned(), time.parse().ok()?)));
    let (how, milliseconds) = parts.with_context(|| format!("it says `{line}` where `end {number}` was due"))?;
    Ok(Ended { time: Duration::from_millis(milliseconds), how, output })
}

/// The last lines of the kernel's console.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 40;
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(LINES);
    format!("the end of {}:\n{}", log.display(), lines.get(last..).unwrap_or_default().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read() -> Result<()> {
        let end = ended(3, "end 3 status 139 ms 250", "text\n".into())?;
        assert_eq!(end.time, Duration::from_millis(250));
        let end = end.into_end()?;
        assert_eq!((end.status, end.output.as_str()), (139, "text\n"));
        Ok(())
    }

    #[test]
    fn what_is_no_good_end_fails() {
        assert!(ended(3, "end 4 status 0 ms 1", String::new()).is_err());
        assert!(ended(3, "failed /dev/kvm", String::new()).is_err());
        assert!(ended(3, "end 3 timeout ms 60000", String::new()).is_ok_and(|end| end.into_end().is_err()));
    }
}
