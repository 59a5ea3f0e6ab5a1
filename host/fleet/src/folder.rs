//! The folder for running machines, and why it may be trusted.
//!
//! It is `ampoule` in `$XDG_RUNTIME_DIR`, which the system makes for each user and clears at the end of the last session
//! (`loginctl enable-linger` keeps it). Where that variable is not set, or names what is not the user's own (as after
//! `sudo`), it is `/run/ampoule` for root; for others the same folder in its usual place, `/run/user/UID`, if there is one,
//! else `/tmp/ampoule-UID`.
//!
//! Everybody may make things in /tmp, so somebody may have made that folder before: to read what is written there, to have
//! it hold links into our own files, or to keep us from working. It is therefore used only if it is a folder and not a link
//! (`O_NOFOLLOW`), belongs to us, and nobody else may enter it. Such a folder cannot be exchanged afterwards: only its owner
//! may rename or remove it, which the sticky bit of /tmp says, and that is looked at too. What is below is ours alone.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::Error;

/// Bits of a mode that let others in.
const OTHERS: u32 = 0o077;
/// Others may write.
const OTHERS_WRITE: u32 = 0o022;
/// Only owners may rename and remove.
const STICKY: u32 = 0o1000;

/// The folder for running machines of this user, made where it is not there.
///
/// # Errors
/// [`Error::Folder`] where it is not safe to use.
pub fn open() -> Result<PathBuf, Error> {
    let user = rustix::process::geteuid().as_raw();
    let path = choose(std::env::var_os("XDG_RUNTIME_DIR"), user);
    own(&path, user)?;
    Ok(path)
}

fn choose(runtime: Option<OsString>, user: u32) -> PathBuf {
    let usual = (user != 0).then(|| PathBuf::from(format!("/run/user/{user}")));
    let is_good = |path: &PathBuf| path.is_absolute() && is_private(path, user);
    let runtime = runtime.map(PathBuf::from).filter(is_good).or_else(|| usual.filter(is_good));
    match (runtime, user) {
        (Some(runtime), _) => runtime.join("ampoule"),
        (None, 0) => PathBuf::from("/run/ampoule"),
        (None, user) => PathBuf::from(format!("/tmp/ampoule-{user}")),
    }
}

/// Is it a folder of this user's, closed to others? So the XDG Base Directory specification wants `$XDG_RUNTIME_DIR`.
fn is_private(path: &Path, user: u32) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_dir() && m.uid() == user && m.mode() & OTHERS == 0)
}

/// Makes a folder that only its owner may use, or finds that it is one.
fn own(path: &Path, user: u32) -> Result<(), Error> {
    check_parent(path, user)?;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::file("make the folder", path)(error));
        }
        _ => {}
    }
    let wrong = |why: String| Error::Folder { path: path.to_owned(), why };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let opened = opened.map_err(|error| match error {
        rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => {
            wrong("is a link or a file, and should be a folder; remove it".into())
        }
        error => Error::file("open the folder", path)(error),
    })?;
    let found = File::from(opened).metadata().map_err(Error::file("look at", path))?;
    if found.uid() != user {
        return Err(wrong(format!(
            "belongs to another user ({}); have it removed, or set XDG_RUNTIME_DIR to a folder of your own with mode 0700",
            found.uid()
        )));
    }
    if found.mode() & OTHERS != 0 {
        return Err(wrong(format!(
            "is open to others (mode {:o}); chmod 700 it, if you trust what is in it",
            found.mode() & 0o7777
        )));
    }
    Ok(())
}

/// Nobody but its owner, us or root may exchange what is in it.
fn check_parent(path: &Path, user: u32) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let found = std::fs::metadata(parent).map_err(Error::file("look at", parent))?;
    let is_trusted = found.uid() == user || found.uid() == 0;
    if is_trusted && (found.mode() & OTHERS_WRITE == 0 || found.mode() & STICKY != 0) {
        return Ok(());
    }
    let why = "lets others exchange what is in it; set XDG_RUNTIME_DIR to a folder of your own with mode 0700";
    Err(Error::Folder { path: parent.to_owned(), why: why.into() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder for a test, removed with it.
    pub(crate) struct Temporary {
        pub(crate) path: PathBuf,
    }

    impl Temporary {
        pub(crate) fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("ampoule-fleet-test-{}-{number}", std::process::id()));
            std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a folder for the test");
            Self { path }
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }

    fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn refusal(path: &Path, user: u32) -> String {
        own(path, user).expect_err("this is not to be used").to_string()
    }

    #[test]
    fn a_private_folder_is_made_and_found_again() {
        let temporary = Temporary::new();
        let path = temporary.path.join("ampoule");
        own(&path, user()).expect("made");
        own(&path, user()).expect("found");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o700);
    }

    #[test]
    fn what_others_can_reach_is_refused() {
        let temporary = Temporary::new();
        let path = temporary.path.join("open");
        fs::create_dir(&path).expect("a folder");
        fs::set_permissions(&path, Permissions::from_mode(0o750)).expect("opened");
        assert!(refusal(&path, user()).contains("is open to others (mode 750); chmod 700"));
    }

    #[test]
    fn links_and_files_are_refused() {
        let temporary = Temporary::new();
        let (real, link, file) =
            (temporary.path.join("real"), temporary.path.join("link"), temporary.path.join("file"));
        own(&real, user()).expect("made");
        symlink(&real, &link).expect("a link");
        fs::write(&file, "").expect("a file");
        assert!(refusal(&link, user()).contains("is a link or a file"));
        assert!(refusal(&file, user()).contains("is a link or a file"));
        let dangling = temporary.path.join("dangling");
        symlink(temporary.path.join("nowhere"), &dangling).expect("a link");
        assert!(refusal(&dangling, user()).contains("is a link or a file"));
    }

    #[test]
    fn what_belongs_to_another_is_refused() {
        let temporary = Temporary::new();
        // A parent that anybody may write to, as /tmp is, and a folder in it that is not the asker's.
        fs::set_permissions(&temporary.path, Permissions::from_mode(0o1777)).expect("as /tmp");
        let path = temporary.path.join("squatted");
        own(&path, user()).expect("made");
        if user() == 0 {
            let refused = refusal(&path, 12345);
            assert!(refused.contains("belongs to another user (0)"), "{refused}");
        }
        fs::set_permissions(&temporary.path, Permissions::from_mode(0o777)).expect("without the sticky bit");
        assert!(refusal(&path, user()).contains("lets others exchange"));
    }

    #[test]
    fn the_session_s_folder_comes_first_if_it_is_ours() {
        let temporary = Temporary::new();
        let set = |path: &Path| Some(path.as_os_str().to_owned());
        assert_eq!(choose(set(&temporary.path), user()), temporary.path.join("ampoule"));
        let fallback = choose(None, user());
        assert_eq!(choose(set(Path::new("relative")), user()), fallback);
        assert_eq!(choose(set(&temporary.path), 54321), PathBuf::from("/tmp/ampoule-54321"));
        fs::set_permissions(&temporary.path, Permissions::from_mode(0o755)).expect("opened");
        assert_eq!(choose(set(&temporary.path), user()), fallback);
    }
}
