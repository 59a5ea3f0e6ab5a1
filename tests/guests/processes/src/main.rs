//! What a machine without processes and without files says to a program that asks for them. Ends with 0.
#[cfg(feature = "line")]
use ampoule as _;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::process::Command;

fn main() {
    // Linux's ENOSYS: there is no fork, no exec, no posix_spawn.
    let error = Command::new("/bin/true").spawn().expect_err("there are no processes");
    assert!(matches!(error.raw_os_error(), Some(38 | 2)), "{error:?}");
    let error = Command::new("true").arg("x").output().expect_err("there are no processes");
    assert!(matches!(error.raw_os_error(), Some(38 | 2)), "{error:?}");
    println!("no processes");
    assert_eq!(File::open("/etc/passwd").expect_err("there are no files").kind(), ErrorKind::NotFound);
    assert_eq!(fs::read_dir("/home").expect_err("there are no folders").kind(), ErrorKind::NotFound);
    assert!(fs::write("/x", "x").is_err() && File::create("/x").is_err());
    println!("no files");
    assert!(std::process::id() == 1 && std::env::current_dir().is_ok());
    assert!(std::thread::available_parallelism().is_ok_and(|n| n.get() >= 1));
    println!("one process, alone");
}
