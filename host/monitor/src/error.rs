//! Why a machine could not be started.
//!
//! What the kernel said is part of the text, and not the error's `source` besides: it would be printed twice.

/// Why a machine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// the machine's memory is too small
    #[error("{given} bytes of memory are too few: the image and its stack need {needed}; give --memory {} or more", in_mib(*.needed))]
    MemoryTooSmall {
        /// What was given, in bytes.
        given: u64,
        /// The least that would do, in bytes.
        needed: u64,
    },
    /// the image says something about itself that cannot be
    #[error("the image's header is wrong: {0}; build the image again")]
    BadImage(&'static str),
    /// the image's digest is wrong
    #[error("the image is damaged: its digest is wrong; build or copy it again")]
    Damaged,
    /// an argument or environment entry cannot be passed on
    #[error("an argument or environment entry holds a NUL byte: {0:?}")]
    NulByte(String),
    /// KVM is not there, or cannot do what a machine needs
    #[error("KVM cannot be used: {0}")]
    NoKvm(String),
    /// a TAP interface cannot be used
    #[error(
        "cannot use the TAP interface {interface:?}: {cause}; make it (as root: ip tuntap add dev NAME mode tap user USER; \
         ip link set NAME up), or leave --net out"
    )]
    Tap {
        /// Its name.
        interface: String,
        /// Why not.
        cause: std::io::Error,
    },
    /// a capture cannot be written
    #[error("cannot write what goes over the network to {path}: {cause}", path = .path.display())]
    Capture {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// gdb cannot be waited for
    #[error("cannot wait for gdb at 127.0.0.1 port {port}: {cause}; give --gdb another port (0: any free one)")]
    Debugger {
        /// The port.
        port: u16,
        /// Why not.
        cause: std::io::Error,
    },
    /// QEMU is not installed
    #[error(
        "qemu-system-x86_64 is not installed; get it (Debian: apt-get install qemu-system-x86), or run the image as a process"
    )]
    NoQemu,
    /// QEMU ended by itself, before the machine or without it
    #[error("QEMU could not run the machine (exit code {0}); what it said is above")]
    Qemu(i32),
    /// a call to the host's kernel failed
    #[error("cannot {what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        cause: std::io::Error,
    },
}

impl Error {
    /// The last system call's error.
    pub(crate) fn last(what: &'static str) -> Self {
        Error::System { what, cause: std::io::Error::last_os_error() }
    }
}

fn in_mib(bytes: u64) -> String {
    format!("{}M", bytes.div_ceil(1 << 20))
}
