//! Names: moving, linking, removing them.

use crate::{by_errno, say};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

pub(crate) fn run() {
    renaming();
    hard_links();
    symbolic_links();
    paths();
}

fn rename2(from: &str, to: &str, flags: u32) -> std::io::Result<i64> {
    let (from, to) = (CString::new(from).expect("text"), CString::new(to).expect("text"));
    // SAFETY: two paths.
    by_errno(unsafe { libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags) }.into())
}

fn renaming() {
    fs::write("r1", "one").expect("made");
    fs::write("r2", "two").expect("made");
    fs::create_dir("rd").expect("made");
    fs::create_dir("re").expect("made");
    say("rename", fs::rename("r1", "r3"));
    say("onto another", fs::rename("r3", "r2"));
    say("what it is now", fs::read_to_string("r2"));
    say("what is not there", fs::rename("r1", "r4"));
    say("onto itself", fs::rename("r2", "r2"));
    say("a file onto a directory", fs::rename("r2", "rd"));
    say("a directory onto a file", fs::rename("rd", "r2"));
    say("a directory onto an empty one", fs::rename("rd", "re"));
    say("into itself", fs::rename("re", "re/x"));
    say("deeper", fs::create_dir("re/x").and_then(|()| fs::rename("re", "re/x/y")));
    say("onto one that is not empty", fs::create_dir("rd").and_then(|()| fs::rename("rd", "re")));
    say("onto the one above", fs::rename("re/x", "re"));
    say("into a file", fs::rename("rd", "r2/x"));
    say("a file with a slash", fs::rename("r2/", "r5"));
    say("to a slash", fs::rename("r2", "r5/"));
    say("a directory to a slash", fs::rename("rd", "rf/"));
    say("the current one", fs::rename(".", "rg"));
    say("across directories", fs::rename("r2", "rf/r2"));
    say("it came along", fs::read_to_string("rf/r2"));
    fs::write("r6", "six").expect("made");
    say("without replacing", rename2("r6", "rf/r2", libc::RENAME_NOREPLACE));
    say("to a free name", rename2("r6", "r7", libc::RENAME_NOREPLACE));
    say("exchange", rename2("r7", "rf/r2", libc::RENAME_EXCHANGE));
    say("one", fs::read_to_string("r7"));
    say("other", fs::read_to_string("rf/r2"));
    say("exchange with a directory", rename2("r7", "re", libc::RENAME_EXCHANGE));
    say("it is a directory", fs::metadata("r7").map(|m| m.is_dir()));
    say("exchange with nothing", rename2("r7", "nothing", libc::RENAME_EXCHANGE));
    say("both at once", rename2("r7", "re", libc::RENAME_EXCHANGE | libc::RENAME_NOREPLACE));
}

fn hard_links() {
    fs::write("h1", "linked").expect("made");
    say("link", fs::hard_link("h1", "h2"));
    say("links", fs::metadata("h1").map(|m| m.nlink()));
    say("one file", Ok(fs::metadata("h1").expect("there").ino() == fs::metadata("h2").expect("there").ino()));
    say("once more", fs::hard_link("h1", "h2"));
    say("rename onto itself by its other name", fs::rename("h1", "h2").map(|()| Path::new("h1").exists()));
    say("of nothing", fs::hard_link("nothing", "h3"));
    say("of a directory", fs::hard_link("rf", "h3"));
    say("in nothing", fs::hard_link("h1", "nothing/h3"));
    say("remove one", fs::remove_file("h1"));
    say("the other stays", fs::read_to_string("h2"));
}

fn symbolic_links() {
    say("symlink", symlink("h2", "s1"));
    say("read it", fs::read_link("s1"));
    say("through it", fs::read_to_string("s1"));
    say("itself", fs::symlink_metadata("s1").map(|m| (m.file_type().is_symlink(), m.len())));
    say("what is behind", fs::metadata("s1").map(|m| (m.is_file(), m.file_type().is_fifo())));
    say("to nothing", symlink("nowhere", "s2"));
    say("open it", fs::read("s2"));
    say("exists", Ok((Path::new("s2").exists(), Path::new("s2").is_symlink())));
    say("write through it", fs::write("s2", "made"));
    say("where it led", fs::read_to_string("nowhere"));
    say("create new", fs::File::create_new("s1").map(drop));
    say("a circle", symlink("s4", "s3").and_then(|()| symlink("s3", "s4")));
    say("through the circle", fs::read("s3"));
    say("stat of the circle", fs::metadata("s4").map(drop));
    say("to a directory", symlink("rf", "s5"));
    say("through it", fs::read_to_string("s5/r2"));
    say("made through it", fs::write("s5/new", "new").and_then(|()| fs::read_to_string("rf/new")));
    say("remove the link", fs::remove_file("s5"));
    say("what it led to stays", fs::metadata("rf").map(|m| m.is_dir()));
    say("an empty one", symlink("", "s6"));
    say("to a file, with a slash", fs::metadata("s1/").map(drop));
    say("link to it", fs::hard_link("s1", "s7").and_then(|()| fs::symlink_metadata("s7")).map(|m| m.is_symlink()));
    say("read no link", fs::read_link("h2"));
    say("rename it", fs::rename("s1", "s8").and_then(|()| fs::read_link("s8")));
    for number in 0..45 {
        symlink(if number == 0 { "h2".to_owned() } else { format!("c{}", number - 1) }, format!("c{number}"))
            .expect("made");
    }
    say("through 40", fs::read_to_string("c39"));
    say("through 41", fs::read_to_string("c40"));
    say(
        "an absolute one",
        std::env::current_dir().and_then(|d| symlink(d.join("h2"), "s9")).and_then(|()| fs::read_to_string("s9")),
    );
}

fn paths() {
    fs::create_dir_all("p/q/r").expect("made");
    let own = std::env::current_dir().expect("a directory").canonicalize().expect("there");
    let real =
        |path: &str| fs::canonicalize(path).map(|p| p.strip_prefix(&own).map(Path::to_owned).unwrap_or_default());
    say("canonical", real("p/./q/../q//r/"));
    say("through a link", symlink("p/q", "pl").and_then(|()| real("pl/r/..")));
    say("what is not there", real("p/x"));
    say("dots above a file", fs::metadata("h2/..").map(drop));
    say("dot of a file", fs::metadata("h2/.").map(drop));
    say("the root's parent", fs::canonicalize("/.."));
    say("enter", std::env::set_current_dir("p/q"));
    say("where", std::env::current_dir().map(|d| d.ends_with("p/q")));
    say("from there", fs::write("here", "x").and_then(|()| fs::read_to_string("../q/here")));
    say("enter a file", std::env::set_current_dir("here"));
    say("enter nothing", std::env::set_current_dir("x"));
    say("move it away", fs::rename("../../p", "../../moved"));
    say("where now", std::env::current_dir().map(|d| d.ends_with("moved/q")));
    say("back", std::env::set_current_dir("../.."));
    say("in a directory that goes", fs::create_dir("going").and_then(|()| std::env::set_current_dir("going")));
    say("it goes", fs::remove_dir("../going"));
    say("where", std::env::current_dir().map(drop));
    say("made in it", fs::write("x", "x"));
    say("its parent", fs::metadata("..").map(|m| m.is_dir()));
    say("what is in it", fs::read_dir(".").map(|d| d.count()));
    say("back", std::env::set_current_dir(&own));
}
