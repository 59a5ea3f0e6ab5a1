//! nginx on this host, for scale: the same page as `web`'s, as a file. Its package comes from Debian by `apt-get download` into
//! the benchmark's folder, with the libraries that it needs; nothing is installed, and no service is started.

use super::server::Server;
use super::subjects::Subjects;
use crate::ask::Kind;
use crate::command::{finish, finish_within};
use crate::results::{Line, Outcome, Role};
use anyhow::{Context, Result};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a package may take to come.
const DOWNLOAD: Duration = Duration::from_secs(120);
const START: Duration = Duration::from_secs(10);

/// A line for it.
pub(super) fn line(group: &str) -> Line {
    let outcome = Outcome::Measured(Vec::new());
    Line { group: group.into(), who: "nginx, a file".into(), role: Role::Other, against: None, reach: None, outcome }
}

/// Why it cannot be had on this computer.
pub(super) fn lacks() -> Option<String> {
    let is_here = super::place::is_here("apt-get") && super::place::is_here("dpkg-deb");
    (!is_here).then(|| "nginx comes by apt-get, which is not here".into())
}

/// Starts it on a port of its own, as many workers as there are CPUs.
pub(super) fn start(subjects: &Subjects) -> Result<Server> {
    let tree = unpacked(&subjects.cache)?;
    let folder = subjects.cache.join("nginx-run");
    fs::create_dir_all(folder.join("www")).context("making nginx's folder")?;
    fs::copy(subjects.root.join("examples/web/src/page.html"), folder.join("www/index.html")).context("the page")?;
    let address = SocketAddr::from(([127, 0, 0, 1], TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()));
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(&folder, address)).context("nginx's configuration")?;
    let mut command = Command::new(tree.join("usr/sbin/nginx"));
    let libraries = ["usr/lib", "lib"].map(|lib| tree.join(lib).join("x86_64-linux-gnu"));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
    command.arg("-e").arg(folder.join("error.log")).arg("-p").arg(&folder).arg("-c").arg(&file);
    Server::start(subjects, command, address, None, Kind::Http, START)
}

fn configuration(folder: &Path, address: SocketAddr) -> String {
    let user = if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        "user root;\n"
    } else {
        ""
    };
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    format!(
        "{user}daemon off;\nworker_processes auto;\npid {0}/nginx.pid;\nevents {{ worker_connections 2048; }}\n\
         http {{\n{paths}  access_log off;\n  default_type text/html;\n  sendfile on;\n  tcp_nopush on;\n  \
         keepalive_requests 1000000000;\n  open_file_cache max=10;\n  \
         server {{ listen {address} backlog=1024; root {0}/www; }}\n}}\n",
        folder.display()
    )
}

/// The package's files, downloaded unless they are there.
fn unpacked(cache: &Path) -> Result<PathBuf> {
    let tree = cache.join("nginx");
    if tree.join("usr/sbin/nginx").is_file() {
        return Ok(tree);
    }
    let packages = cache.join("nginx-packages");
    fs::create_dir_all(&packages)?;
    let depends = finish(Command::new("apt-cache").args(["depends", "nginx"]))?;
    let libraries = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let libraries = libraries.filter(|name| (name.starts_with("lib") && *name != "libc6") || *name == "zlib1g");
    let names: Vec<&str> = ["nginx"].into_iter().chain(libraries).collect();
    finish_within(Command::new("apt-get").arg("download").args(&names).current_dir(&packages), DOWNLOAD)
        .context("nginx does not come; `apt-get update`, or a network, may help")?;
    let partial = cache.join("nginx-partial");
    for entry in fs::read_dir(&packages)? {
        finish(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(&partial))?;
    }
    fs::rename(&partial, &tree).context("moving nginx to its place")?;
    Ok(tree)
}
