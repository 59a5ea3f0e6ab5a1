//! Files as a read-only, nearly empty root gives them; processes that a machine has not got. Ends with 0.

#[cfg(feature = "line")]
use ampoule as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::process::Command;

fn main() {
    assert_eq!(File::open("/etc/resolv.conf").expect_err("not there").kind(), ErrorKind::NotFound);
    assert_eq!(File::create("/new").expect_err("read-only").kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(fs::remove_file("/nothing").expect_err("not there").kind(), ErrorKind::NotFound);
    assert_eq!(std::env::current_dir().expect("a directory").to_str(), Some("/"));
    assert!(fs::metadata("/").expect("the root").is_dir());

    let mut bytes = [0; 32];
    File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).expect("random bytes");
    assert_ne!(bytes, [0; 32]);
    File::open("/dev/zero").and_then(|mut f| f.read_exact(&mut bytes)).expect("zeros");
    assert_eq!(bytes, [0; 32]);
    File::options().write(true).open("/dev/null").and_then(|mut f| f.write_all(&bytes)).expect("nowhere");

    assert_eq!(Command::new("/bin/true").status().expect_err("no processes").raw_os_error(), Some(38));
    println!("the root is empty, the devices are there, and there is nobody to start");
}
