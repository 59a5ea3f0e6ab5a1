//! Files and TCP ports, by Landlock (`landlock(7)`): as much of it as the host's kernel knows.

use super::Ports;
use crate::Error;
use landlock::{
    ABI, Access, AccessFs, AccessNet, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope,
};

/// The newest that is used: files, TCP ports (4), devices' ioctls (5), abstract Unix sockets (6).
const WANTED: ABI = ABI::V6;

/// Leaves the files that are open. With `read`, all others may be read and run, none written.
///
/// # Errors
/// Landlock is there and refuses.
pub(super) fn restrict(bind: &Ports, connect: &Ports, read: bool) -> Result<(), Error> {
    rules(bind, connect, read)
        .map_err(|error| Error::System { what: "give up files and ports", cause: std::io::Error::other(error) })
}

fn rules(bind: &Ports, connect: &Ports, read: bool) -> Result<(), RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(WANTED))?.scope(Scope::AbstractUnixSocket)?;
    for (ports, access) in [(bind, AccessNet::BindTcp), (connect, AccessNet::ConnectTcp)] {
        if matches!(ports, Ports::Only(_)) {
            ruleset = ruleset.handle_access(access)?;
        }
    }
    let mut ruleset = ruleset.create()?;
    if read && let Ok(root) = PathFd::new("/") {
        ruleset = ruleset.add_rule(PathBeneath::new(root, AccessFs::from_read(WANTED)))?;
    }
    for (ports, access) in [(bind, AccessNet::BindTcp), (connect, AccessNet::ConnectTcp)] {
        if let Ports::Only(list) = ports {
            ruleset = ruleset.add_rules(list.iter().map(|port| Ok::<_, RulesetError>(NetPort::new(*port, access))))?;
        }
    }
    // Where the kernel knows less, less is restricted; `describe_files` says how much.
    ruleset.restrict_self().map(drop)
}

/// The Landlock version of this kernel; 0 without one.
fn version() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call only answers with a number (landlock_create_ruleset(2)).
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) }.max(0)
}

/// For a person.
pub(super) fn describe_files(read: bool) -> String {
    match (version(), read) {
        (0, _) => "as before: this kernel has no Landlock".into(),
        (_, true) => "none can be written; all can be read and run, by the resolver that looks names up".into(),
        (_, false) => "none but those that are open".into(),
    }
}

/// For a person.
pub(super) fn describe_ports(bind: &Ports, connect: &Ports) -> String {
    if version() < 4 {
        return "as the tool checks: this kernel's Landlock knows no ports".into();
    }
    format!("bind {bind}; connect to {connect}")
}
