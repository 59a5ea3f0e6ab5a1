//! `run --gdb`: how a debugger comes to a machine, and what its operator is told.
//!
//! | backend | who speaks gdb's protocol | where the machine waits |
//! |---|---|---|
//! | KVM | the machine's own process (`kvm/debug.rs`), over a connection that the tool took | before the guest's first instruction |
//! | QEMU | QEMU | before its CPU's first instruction, in the firmware |
//! | process | gdb itself, which attaches (ptrace(2)) | before the guest's first instruction, stopped by SIGSTOP |
//!
//! An image lies at a random address. For a machine with a debugger the tool draws it beforehand, so that the command for gdb
//! can say it.

use crate::machine::child::random_base;
use crate::{Error, Options, Program};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// What an operator needs to know to attach gdb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Where the machine is.
    pub to: Debugged,
    /// The image's debug file, and the address to which gdb has to move it; or why there are no names.
    pub symbols: Result<(PathBuf, u64), String>,
}

/// What gdb attaches to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debugged {
    /// Somebody who speaks its protocol at this address.
    Remote(SocketAddr),
    /// A process of this computer.
    Process(u32),
}

impl Attach {
    /// For an image that will lie at `base`.
    pub(crate) fn new(to: Debugged, program: &Program<'_>, options: &Options, base: u64) -> Self {
        let symbols = match &options.debug {
            Some(path) => shift(path, &program.header.digest).map(|shift| (path.clone(), base + shift)),
            None => Err("there is no debug file".into()),
        };
        Self { to, symbols }
    }
}

/// By how much sealing moved the program, from its debug file.
fn shift(path: &Path, digest: &[u8; 32]) -> Result<u64, String> {
    let file = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (_, shift) = image::debug::read(&file, Some(digest)).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(shift)
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Debugged::Remote(at) => writeln!(f, "waiting for gdb at {at}; in another terminal:")?,
            Debugged::Process(id) => writeln!(f, "process {id} waits for gdb; in another terminal:")?,
        }
        f.write_str("  gdb")?;
        if let Debugged::Process(id) = self.to {
            write!(f, " -p {id} -ex 'set confirm off'")?;
        }
        if let Ok((path, address)) = &self.symbols {
            // gdb takes the tool's own program for the process's, finds its names by itself, and would move ours with it.
            let command = if matches!(self.to, Debugged::Process(_)) { "add-symbol-file" } else { "symbol-file" };
            write!(f, " -ex '{command} -o {address:#x} {}'", path.display())?;
        }
        match self.to {
            Debugged::Remote(at) => write!(f, " -ex 'target remote {at}'")?,
            // It is stopped to wait; slices and the tool's nudges are the library OS's own affair.
            Debugged::Process(_) => f.write_str(
                " -ex 'handle SIGSTOP nostop noprint nopass' -ex 'handle SIGVTALRM SIGUSR1 nostop noprint pass'",
            )?,
        }
        match &self.symbols {
            Ok(_) => Ok(()),
            Err(why) => write!(f, "\n  (without names: {why})"),
        }
    }
}

/// A place for the image of a machine with a debugger.
pub(crate) fn base(options: &Options) -> Option<u64> {
    options.gdb.map(|_| random_base())
}

/// Takes the port at which gdb is waited for.
pub(crate) fn listen(port: u16) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |cause| Error::Debugger { port, cause };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Waits for gdb. Afterwards nobody else gets in: a second gdb is refused.
pub(crate) fn accept(listener: TcpListener) -> Result<TcpStream, Error> {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let failed = |cause| Error::Debugger { port, cause };
    let (stream, _) = listener.accept().map_err(failed)?;
    // Packets are small, and each is waited for.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_said() {
        let (_taken, address) = listen(0).expect("a port");
        let error = listen(address.port()).expect_err("it is taken").to_string();
        assert!(error.contains(&address.port().to_string()) && error.contains("--gdb"), "{error}");
    }

    #[test]
    fn the_command_names_the_file_and_its_address() {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 1234));
        let attach = Attach { to: Debugged::Remote(at), symbols: Ok(("web.debug".into(), 0x1000)) };
        assert_eq!(
            attach.to_string(),
            "waiting for gdb at 127.0.0.1:1234; in another terminal:\n  \
             gdb -ex 'symbol-file -o 0x1000 web.debug' -ex 'target remote 127.0.0.1:1234'"
        );
        let attach = Attach { to: Debugged::Process(7), symbols: Err("no file".into()) };
        assert!(attach.to_string().contains("gdb -p 7") && attach.to_string().contains("no file"));
    }
}
