//! Root's rights: given up, all but the one to have a published port below 1024.
//!
//! A tool that root started goes on as `nobody`, in no other group. In a user namespace where that user does not exist, it
//! stays who it is (which is nobody particular outside), and gives up its capabilities alone.

use crate::Error;
use rustix::process::{
    DumpableBehavior, Gid, Uid, geteuid, getppid, parent_process_death_signal, set_dumpable_behavior,
    set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

/// `nobody` and its group: the kernel's overflow ids (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65534;

/// Gives up what root may, where this process is root's. With `low_ports` it may still bind ports below 1024.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn drop_root(low_ports: bool) -> Result<(), Error> {
    let failed = |errno: rustix::io::Errno| Error::System { what: "give up root's rights", cause: errno.into() };
    if !geteuid().is_root() {
        return Ok(());
    }
    // A change of user also unties a process's life from its parent's (PR_SET_PDEATHSIG(2const)).
    let (tie, parent) = (parent_process_death_signal().map_err(failed)?, getppid());
    set_keep_capabilities(low_ports).map_err(failed)?;
    become_nobody();
    if tie.is_some() {
        set_parent_process_death_signal(tie).map_err(failed)?;
        if getppid() != parent {
            return Err(failed(rustix::io::Errno::SRCH));
        }
    }
    let kept = if low_ports { CapabilitySet::NET_BIND_SERVICE } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(failed)?;
    // A change of user makes a process one that only root may look into; but the keeper takes accepted connections from the
    // machine's process, which is of the same user (`pidfd_getfd(2)`).
    set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(failed)
}

/// In a namespace without these ids nothing happens.
fn become_nobody() {
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let done = set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(gid, gid, gid))
        .and_then(|()| set_thread_res_uid(uid, uid, uid));
    // The capabilities go in any case.
    let _ = done;
}

/// For a person.
pub(super) fn describe(low_ports: bool) -> &'static str {
    match (geteuid().is_root(), low_ports) {
        (false, _) => "yours, which is not root's",
        (true, false) => "nobody, without capabilities, instead of root",
        (true, true) => "nobody, with CAP_NET_BIND_SERVICE for a port below 1024, instead of root",
    }
}
