//! System calls, by seccomp.
//!
//! Without names to look up, the keeper's calls are few and known, and every other one ends it. A program that looks names
//! up is the host's own and may do what programs do: then only those calls are refused that no such program has a use for.

use crate::Error;
use seccompiler::{SeccompAction, SeccompFilter, TargetArch, apply_filter};
use std::collections::BTreeMap;

/// A call's number and name.
type Named = (i64, &'static str);

macro_rules! calls {
    ($($name:ident $number:ident),* $(,)?) => { &[$((libc::$number, stringify!($name))),*] };
}

/// What the keeper does: waits, hears the machine's process, opens sockets and hands them over, prints, and ends.
const KEPT: &[Named] = calls! {
    ppoll SYS_ppoll, recvfrom SYS_recvfrom, sendmsg SYS_sendmsg, sendto SYS_sendto,
    socket SYS_socket, bind SYS_bind, listen SYS_listen, connect SYS_connect, setsockopt SYS_setsockopt,
    getsockopt SYS_getsockopt, getsockname SYS_getsockname, pidfd_getfd SYS_pidfd_getfd,
    read SYS_read, write SYS_write, writev SYS_writev, close SYS_close, lseek SYS_lseek, fstat SYS_fstat, statx SYS_statx,
    pread64 SYS_pread64, fcntl SYS_fcntl, ioctl SYS_ioctl,
    kill SYS_kill, wait4 SYS_wait4, exit SYS_exit, exit_group SYS_exit_group,
    mmap SYS_mmap, munmap SYS_munmap, mremap SYS_mremap, brk SYS_brk, madvise SYS_madvise, mprotect SYS_mprotect,
    futex SYS_futex, getrandom SYS_getrandom, clock_gettime SYS_clock_gettime, gettid SYS_gettid, getpid SYS_getpid,
    tgkill SYS_tgkill, rt_sigaction SYS_rt_sigaction, rt_sigprocmask SYS_rt_sigprocmask, rt_sigreturn SYS_rt_sigreturn,
    sigaltstack SYS_sigaltstack, restart_syscall SYS_restart_syscall,
};

/// What no resolver does.
const REFUSED: &[Named] = calls! {
    ptrace SYS_ptrace, process_vm_readv SYS_process_vm_readv, process_vm_writev SYS_process_vm_writev,
    kcmp SYS_kcmp, bpf SYS_bpf, perf_event_open SYS_perf_event_open, userfaultfd SYS_userfaultfd,
    io_uring_setup SYS_io_uring_setup, io_uring_enter SYS_io_uring_enter, io_uring_register SYS_io_uring_register,
    mount SYS_mount, umount2 SYS_umount2, pivot_root SYS_pivot_root, chroot SYS_chroot, move_mount SYS_move_mount,
    open_tree SYS_open_tree, fsopen SYS_fsopen, fsconfig SYS_fsconfig, fsmount SYS_fsmount, fspick SYS_fspick,
    mount_setattr SYS_mount_setattr, open_by_handle_at SYS_open_by_handle_at, name_to_handle_at SYS_name_to_handle_at,
    unshare SYS_unshare, setns SYS_setns, init_module SYS_init_module, finit_module SYS_finit_module,
    delete_module SYS_delete_module, kexec_load SYS_kexec_load, kexec_file_load SYS_kexec_file_load, reboot SYS_reboot,
    swapon SYS_swapon, swapoff SYS_swapoff, add_key SYS_add_key, request_key SYS_request_key, keyctl SYS_keyctl,
    settimeofday SYS_settimeofday, clock_settime SYS_clock_settime, adjtimex SYS_adjtimex, clock_adjtime SYS_clock_adjtime,
    sethostname SYS_sethostname, setdomainname SYS_setdomainname, quotactl SYS_quotactl, acct SYS_acct, syslog SYS_syslog,
    personality SYS_personality, iopl SYS_iopl, ioperm SYS_ioperm, fanotify_init SYS_fanotify_init,
    pidfd_send_signal SYS_pidfd_send_signal,
};

/// What the machine's own process does, on one backend or another (`machine/filter.rs`).
const MACHINES: &[Named] = calls! {
    ioctl SYS_ioctl, setitimer SYS_setitimer, read SYS_read, write SYS_write, epoll_pwait2 SYS_epoll_pwait2,
    mprotect SYS_mprotect, madvise SYS_madvise, exit_group SYS_exit_group, rt_sigreturn SYS_rt_sigreturn,
    clock_gettime SYS_clock_gettime, recvmsg SYS_recvmsg, accept4 SYS_accept4, epoll_ctl SYS_epoll_ctl, close SYS_close,
    shutdown SYS_shutdown,
};

/// The names of calls of the machine's own process; a number that has none is shown as it is.
pub(super) fn names(numbers: &[u32]) -> String {
    let name = |number: &u32| {
        let found = MACHINES.iter().find(|(known, _)| *known == i64::from(*number));
        found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
    };
    numbers.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// Puts the filter up.
///
/// # Errors
/// The kernel refuses it.
pub(super) fn restrict(names: bool) -> Result<(), Error> {
    let failed = |error: String| Error::System { what: "give up system calls", cause: std::io::Error::other(error) };
    let (list, otherwise, listed) = match names {
        false => (KEPT, SeccompAction::KillProcess, SeccompAction::Allow),
        true => (REFUSED, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32)),
    };
    let rules: BTreeMap<i64, Vec<_>> = list.iter().map(|(number, _)| (*number, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, otherwise, listed, TargetArch::x86_64).map_err(|e| failed(e.to_string()))?;
    let program: seccompiler::BpfProgram =
        filter.try_into().map_err(|e: seccompiler::BackendError| failed(e.to_string()))?;
    apply_filter(&program).map_err(|e| failed(e.to_string()))
}

/// For a person.
pub(super) fn describe(names: bool) -> String {
    let words = |list: &[Named]| list.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" ");
    match names {
        false => format!("{} of them, any other ends the tool: {}", KEPT.len(), words(KEPT)),
        true => format!("all but {}: {}", REFUSED.len(), words(REFUSED)),
    }
}
