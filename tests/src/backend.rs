//! What a machine runs on. One image, the same bytes, for all of them.

use std::fmt;

/// A place to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A virtual machine of our own, by KVM.
    Kvm,
    /// A locked-down process.
    Process,
    /// QEMU's microvm: virtio over MMIO.
    Microvm,
    /// QEMU's q35: virtio over PCI.
    Q35,
}

impl Backend {
    /// All of them.
    pub const ALL: [Backend; 4] = [Backend::Process, Backend::Kvm, Backend::Microvm, Backend::Q35];

    /// The tool's flags for it.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Backend::Kvm => &["--on", "kvm"],
            Backend::Process => &["--on", "process"],
            Backend::Microvm => &["--on", "qemu", "--machine", "microvm"],
            Backend::Q35 => &["--on", "qemu", "--machine", "q35"],
        }
    }

    /// Why nothing can run on it here, if so. Under CI nothing may be missing.
    pub fn lacks(self) -> Option<String> {
        let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let has_qemu = || std::env::split_paths(&path).any(|folder| folder.join("qemu-system-x86_64").is_file());
        match self {
            Backend::Process => None,
            // A computer of CI's may have no KVM to offer.
            Backend::Kvm => monitor::kvm::check().err().map(|error| error.to_string()),
            Backend::Microvm | Backend::Q35 => (!is_ci && !has_qemu())
                .then(|| "no qemu-system-x86_64 here (apt-get install qemu-system-x86)".to_owned()),
        }
    }

    /// Is there an emulated network between the machine and us, with frames of 1500 bytes?
    pub fn has_frames(self) -> bool {
        matches!(self, Backend::Microvm | Backend::Q35)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Kvm => "kvm",
            Backend::Process => "process",
            Backend::Microvm => "microvm",
            Backend::Q35 => "q35",
        })
    }
}
