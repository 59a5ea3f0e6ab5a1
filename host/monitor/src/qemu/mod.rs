//! QEMU: the image boots by its own exokernel, on QEMU's microvm or q35.
//!
//! | file | what it does |
//! |---|---|
//! | `command` | the command line |
//! | `input` | standard input, and how its end gets through |
//! | `listeners` | the sockets at which QEMU takes what it forwards |
//! | `serial` | what comes out of the serial port: text, backtraces, the end |
//! | `mod` | starts QEMU and stays with it |
//!
//! The program's input and output are a virtio console. Both pass through this process: QEMU cannot read a terminal from a
//! process group in the background, nor tell the machine that its input has ended; and what its virtio-console cannot
//! write at once it drops (`flush_buf` in hw/char/virtio-console.c). So the console's output goes to nowhere, where it
//! always fits, and what we read is the log of it, which QEMU writes to the last byte, waiting where it must. The serial port is the emergency line: QEMU's end of a socket pair, which is also QEMU's standard error. Our end takes
//! reports and QEMU's own complaints, and carries the operator's wishes in: one byte asks for an interrupt, one for
//! an orderly stop (the exokernel's `serial`).

mod command;
mod input;
mod listeners;
mod serial;

use crate::capture;
use crate::debugger::{self, Attach, Debugged};
use crate::machine::os::{self, Signals};
use crate::network::Link;
use crate::timeline::Mark;
use crate::{Error, Notice, Options, Outcome, Program, Publish};
use abi::manifest::Manifest;
use listeners::Listeners;
use serial::Serial;
use std::fs::File;
use std::io::{PipeReader, pipe};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program that is started.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// What Ctrl-C becomes on the serial line.
const INTERRUPT: u8 = 3;
/// What SIGTERM becomes on the serial line.
const STOP: u8 = 4;

/// Which of QEMU's machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// The small one: virtio over MMIO, no PCI, starts quickly.
    #[default]
    Microvm,
    /// A PC: PCI Express, virtio-pci with MSI-X.
    Q35,
}

/// How QEMU runs the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accelerator {
    /// KVM where the hardware virtualises and /dev/kvm may be used, otherwise emulation.
    #[default]
    Auto,
    /// KVM.
    Kvm,
    /// Emulation (TCG).
    Tcg,
}

/// What QEMU needs to know besides [`Options`].
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// The image's file.
    pub image: &'a Path,
    /// The machine.
    pub machine: Machine,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Names for an offset into the image, innermost first; see `image::debug::Symboliser`. Backtraces stay numbers
    /// without it.
    pub names: Option<&'a dyn Fn(u64) -> Vec<String>>,
}

impl std::fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("image", &self.image).field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// Boots an image under QEMU and stays with it until it ends. Signals are taken as [`crate::run`] says.
///
/// # Errors
/// QEMU is missing, a port is taken, or the machine could not be started.
pub fn run(program: &Program<'_>, options: &Options, setup: &Setup<'_>) -> Result<Outcome, Error> {
    let memory = options.memory.unwrap_or(program.header.memory);
    let needed = program.header.span.saturating_add(stack(program, memory)).saturating_add(LOADED_AT);
    if memory < needed {
        return Err(Error::MemoryTooSmall { given: memory, needed });
    }
    let link = Link::of(program.manifest, &options.network);
    let unconnected = Manifest { network: None, ..program.manifest.clone() };
    let manifest = if link == Link::None { &unconnected } else { program.manifest };
    let forwards = if link == Link::Sockets { forwards(manifest, options)? } else { Vec::new() };
    if let Some(path) = &options.pcap {
        // QEMU makes it anew.
        capture::create(path, Link::Frames)?;
    }
    // A moment later QEMU takes the port itself.
    let debugger = options.gdb.map(|port| debugger::listen(port).map(|(_, address)| address)).transpose()?;
    let base = debugger::base(options);
    if let (Some(address), Some(base)) = (debugger, base) {
        let attach = Attach::new(Debugged::Remote(address), program, options, base);
        options.notify.inspect(|notify| notify(&Notice::Debugger(attach)));
    }
    let signals = Signals::take()?;
    let mark = |mark| options.timeline.iter().for_each(|timeline| timeline.mark(mark));
    mark(Mark::Forked);
    let debugged = debugger.zip(base);
    let mut running =
        Running::start(|output| command::arguments(manifest, options, setup, memory, &forwards, output, debugged))?;
    let listeners = Listeners::new(running.child.id(), forwards);
    let outcome = running.stay(&signals, setup.names, listeners, options, &|listening| {
        let Publish { protocol, host, port } = listening;
        options.notify.inspect(|notify| notify(&Notice::Listening { protocol, port, host }));
    });
    mark(Mark::End);
    outcome
}

/// Where the exokernel and the image behind it begin, with room for the exokernel.
const LOADED_AT: u64 = (1 << 20) + (96 << 10);

fn stack(program: &Program<'_>, memory: u64) -> u64 {
    if program.header.stack == 0 { abi::image::default_stack(memory) } else { program.header.stack }
}

/// The ports to forward: those published, and every other that the manifest names. A range of many ports would keep all
/// of them from the host, so only its published ports are forwarded.
fn forwards(manifest: &Manifest, options: &Options) -> Result<Vec<Publish>, Error> {
    const MANY: u16 = 16;
    let mut out = options.publish.clone();
    for publish in &mut out {
        publish.host = take(publish, options)?;
    }
    for listen in manifest.network.iter().flat_map(|n| &n.listen) {
        if listen.first_port == 0 || listen.last_port.saturating_sub(listen.first_port) >= MANY {
            continue;
        }
        for port in listen.first_port..=listen.last_port {
            let known = |p: &Publish| p.protocol == listen.protocol && p.port == port;
            let publish = Publish::default_for(listen.protocol, port);
            // Nobody asked for it by name, so a port that is taken is only told.
            if !out.iter().any(known) && take(&publish, options).is_ok() {
                out.push(publish);
            }
        }
    }
    Ok(out)
}

/// Can the host's port be had? QEMU takes it a moment later. Gives the address, with a number where any would do.
fn take(publish: &Publish, options: &Options) -> Result<SocketAddr, Error> {
    let result = match publish.protocol {
        abi::manifest::Protocol::Tcp => TcpListener::bind(publish.host).and_then(|l| l.local_addr()),
        abi::manifest::Protocol::Udp => UdpSocket::bind(publish.host).and_then(|s| s.local_addr()),
    };
    result.map_err(|cause| {
        let notice = Notice::PortInUse { protocol: publish.protocol, port: publish.port, host: publish.host };
        options.notify.inspect(|notify| notify(&notice));
        Error::System { what: "have the host's port for the machine", cause }
    })
}

/// A QEMU that runs.
struct Running {
    child: Child,
    serial: UnixStream,
    /// The console's output, until its end.
    output: Option<PipeReader>,
}

impl Running {
    /// `arguments` are those for a console whose output is logged to the descriptor of this number.
    fn start(arguments: impl FnOnce(i32) -> Vec<String>) -> Result<Running, Error> {
        let (ours, theirs) = UnixStream::pair().map_err(|cause| Error::System { what: "make a socket pair", cause })?;
        let (output, log) = pipe().map_err(|cause| Error::System { what: "make a pipe", cause })?;
        // For QEMU to inherit, under the same number.
        rustix::io::fcntl_setfd(&log, rustix::io::FdFlags::empty())
            .map_err(|errno| Error::System { what: "hand QEMU a pipe", cause: errno.into() })?;
        let mut command = Command::new(PROGRAM);
        command.args(arguments(log.as_raw_fd()));
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.stderr(Stdio::from(OwnedFd::from(theirs)));
        // Its own group: the terminal's Ctrl-C is for us to pass on.
        command.process_group(0);
        die_with_us(&mut command);
        let mut child = command.spawn().map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => Error::NoQemu,
            _ => Error::System { what: "start qemu-system-x86_64", cause },
        })?;
        drop((command, log)); // our copies of QEMU's ends
        let input = child.stdin.take();
        let running = Running { child, serial: ours, output: Some(output) };
        let serial = running.serial.try_clone().map_err(|cause| Error::System { what: "copy a socket", cause })?;
        if let Some(input) = input {
            input::pass_on(input, serial);
        }
        Ok(running)
    }

    fn stay(
        &mut self,
        signals: &Signals,
        names: Option<&dyn Fn(u64) -> Vec<String>>,
        mut listeners: Listeners,
        options: &Options,
        tell: &dyn Fn(Publish),
    ) -> Result<Outcome, Error> {
        let mut serial = Serial::new(names, options.trace.is_some());
        let mut trace = options.trace.as_deref();
        let mut asked = false;
        let mut buffer = [0; 4096];
        let mut is_open = true;
        while is_open || self.output.is_some() {
            // The signals' descriptor stands in for whatever is closed or not there.
            let signal = signals.handle.as_fd();
            let serial_end = if is_open { self.serial.as_fd() } else { signal };
            let output_end = self.output.as_ref().map_or(signal, |o| o.as_fd());
            let ready = os::poll(&[signal, serial_end, output_end], listeners.timeout_ns());
            listeners.look().into_iter().for_each(tell);
            if ready[0] {
                while let Some(signal) = signals.next() {
                    let byte = if signal == libc::SIGINT { INTERRUPT } else { STOP };
                    if asked || self.serial.write_all(&[byte]).is_err() {
                        let _ = self.child.kill();
                    }
                    asked = true;
                }
                continue;
            }
            if ready[2] {
                self.pass_output(&mut buffer);
                options.timeline.inspect(|timeline| timeline.mark(Mark::Output));
            }
            if ready[1] {
                match self.serial.read(&mut buffer) {
                    Ok(length @ 1..) => {
                        show(&serial.take(&buffer[..length]));
                        pass_trace(&mut trace, &serial.traced());
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    _ => is_open = false,
                }
            }
        }
        show(&serial.rest());
        let status = self.child.wait().map_err(|cause| Error::System { what: "wait for QEMU", cause })?;
        match (status.code(), status.signal()) {
            (Some(code), _) => {
                serial.status(code).ok_or(Error::Qemu(code)).map(|status| Outcome { status, report: None })
            }
            // Killed: by us after the second request, or by somebody else.
            (None, signal) => Ok(Outcome { status: 128u8.wrapping_add(signal.unwrap_or(0) as u8), report: None }),
        }
    }

    fn pass_output(&mut self, buffer: &mut [u8]) {
        let length = self.output.as_mut().map_or(Ok(0), |o| o.read(buffer));
        match length {
            Ok(0) | Err(_) => self.output = None,
            Ok(length) => {
                // Where nobody reads any more, the machine goes on all the same.
                let mut out = std::io::stdout().lock();
                let _ = out.write_all(&buffer[..length]).and_then(|()| out.flush());
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing of ours outlives the tool. A process that has been waited for is left alone by `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// QEMU is not to outlive the tool, whatever ends that: left alone it would keep the machine's ports for ever.
fn die_with_us(command: &mut Command) {
    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
    let parent = getpid();
    let die_with = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before; then somebody else is the parent.
        if getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
    };
    // SAFETY: runs between fork and exec, and makes two system calls that touch no memory and no lock.
    unsafe { command.pre_exec(die_with) };
}

/// Passes lines of the trace on. Where they cannot be written any more, that is said once.
fn pass_trace(trace: &mut Option<&File>, lines: &[u8]) {
    if let Some(mut file) = *trace
        && let Err(error) = file.write_all(lines)
    {
        eprintln!("ampoule: the trace ends here, it cannot be written: {error}");
        *trace = None;
    }
}

fn show(text: &[u8]) {
    let _ = std::io::stderr().write_all(text);
}
