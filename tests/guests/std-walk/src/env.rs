//! `std::env`.

use crate::{Case, outcome, saw};
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::catch_unwind;

pub(crate) const CASES: &[Case] = &[
    ("env::args", args),
    ("env::vars", vars),
    ("env::set_var and remove_var", set_var),
    ("env::current_dir", current_dir),
    ("env::current_exe", current_exe),
    ("env::temp_dir and home_dir", folders),
    ("env::split_paths and join_paths", paths),
    ("env::consts", consts),
];

/// Other threads read the environment only in their own cases.
fn set(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
    // SAFETY: this thread alone runs.
    unsafe { env::set_var(name, value) };
}

fn remove(name: impl AsRef<OsStr>) {
    // SAFETY: this thread alone runs.
    unsafe { env::remove_var(name) };
}

fn args() {
    saw!("all but the name", env::args().skip(1).collect::<Vec<_>>());
    saw!("args_os", env::args_os().skip(1).map(|a| a.len()).collect::<Vec<_>>());
    saw!("there is a name", env::args_os().next().is_some_and(|name| !name.is_empty()));
    saw!("from the back", (env::args().len(), env::args().next_back()));
}

fn vars() {
    let mut all: Vec<_> = env::vars().collect();
    all.sort();
    saw!("all", all);
    saw!("one", env::var("GREETING"));
    saw!("an empty one", env::var("EMPTY"));
    saw!("none", (env::var("NOBODY"), env::var_os("NOBODY")));
    saw!("text", env::var("NOBODY").unwrap_err().to_string());
    saw!("strange names", (env::var(""), env::var("A=B"), env::var("A\0B")));
}

fn set_var() {
    set("NEW", "one");
    set("NEW", "two");
    saw!("set twice", env::var("NEW"));
    saw!("one of them", env::vars().filter(|(name, _)| name == "NEW").count());
    remove("NEW");
    remove("NEW");
    saw!("removed", env::var("NEW"));
    set("GREETING", "=with=signs=");
    saw!("overwritten", env::var("GREETING"));
    set("NOT_UNICODE", OsStr::from_bytes(b"caf\xe9"));
    saw!("not unicode", env::var("NOT_UNICODE"));
    saw!("as bytes", env::var_os("NOT_UNICODE").map(OsString::into_vec));
    remove("NOT_UNICODE");
    for (name, value) in [("", "x"), ("A=B", "x"), ("A\0B", "x"), ("A", "x\0y")] {
        let message = catch_unwind(|| set(name, value)).map_err(|e| e.downcast_ref::<String>().cloned());
        saw!(format!("{name:?} = {value:?}"), message);
    }
    saw!("remove a strange name", catch_unwind(|| remove("A=B")).is_err());
    (0..300).for_each(|n| set(format!("MANY_{n}"), n.to_string()));
    saw!("many", env::vars().filter(|(name, _)| name.starts_with("MANY_")).count());
    (0..300).for_each(|n| remove(format!("MANY_{n}")));
    saw!("none of them", env::vars().filter(|(name, _)| name.starts_with("MANY_")).count());
}

fn current_dir() {
    saw!("at first", outcome(env::current_dir()));
    saw!("not there", outcome(env::set_current_dir("/nowhere/at/all")));
    saw!("no folder", outcome(env::set_current_dir("/dev/null")));
    saw!("empty", outcome(env::set_current_dir("")));
    saw!("with a zero", outcome(env::set_current_dir("/\0")));
    saw!("changed", (outcome(env::set_current_dir("/dev")), outcome(env::current_dir())));
    saw!("up", (outcome(env::set_current_dir("..")), outcome(env::current_dir())));
}

fn current_exe() {
    saw!("an absolute path", env::current_exe().is_ok_and(|path| path.is_absolute()));
}

fn folders() {
    saw!("temp_dir", env::temp_dir());
    set("TMPDIR", "/elsewhere");
    saw!("by TMPDIR", env::temp_dir());
    remove("TMPDIR");
    set("HOME", "/home/somebody");
    saw!("home_dir", env::home_dir());
    remove("HOME");
}

fn paths() {
    saw!("split", env::split_paths("/a:/b c::/d").collect::<Vec<_>>());
    saw!("join", env::join_paths(["/a", "/b c"]).map_err(|e| e.to_string()));
    saw!("join what cannot be", env::join_paths(["/a:b"]).map_err(|e| e.to_string()));
}

fn consts() {
    use env::consts::{ARCH, DLL_EXTENSION, DLL_PREFIX, EXE_SUFFIX, FAMILY, OS};
    saw!("consts", (ARCH, FAMILY, OS, DLL_PREFIX, DLL_EXTENSION, EXE_SUFFIX));
}
