//! Machines on a TAP interface, in a network namespace of the test's own: the program's own TCP/IP answers the host's.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::{Machine, PATIENCE};
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};
use bench::namespace::{GUEST_ADDRESS, HOST_ADDRESS, Namespace};
use rustix::process::Signal;

use crate::everywhere;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> =
        Backend::ALL.into_iter().map(|b| Case::new(format!("web on a TAP interface on {b}"), move || web(b))).collect();
    cases.extend(everywhere("no network by --net none", none));
    cases
}

fn web(backend: Backend) -> Result<Verdict> {
    if let Some(reason) = backend.lacks().or_else(lacks) {
        return Ok(Verdict::Skipped(reason));
    }
    let image = tool::image("examples/web")?;
    let namespace = Namespace::new()?;
    let network = format!("tap:tap0,{GUEST_ADDRESS}/24,{HOST_ADDRESS}");
    let file = image.with_file_name(format!("tap-{backend}.pcap"));
    let pcap = file.to_str().context("the project's folder has a name of UTF-8")?;
    let arguments = ["--net", &network, "--pcap", pcap];
    let mut machine = Machine::start_by(&namespace.prefix(), &image, backend, &arguments)?;
    machine.expect("serving on")?;
    for path in ["", "healthz"] {
        let url = format!("http://{GUEST_ADDRESS}:8080/{path}");
        let page = curl(&namespace, &["--fail", &url])?;
        ensure!(!page.stdout.is_empty(), "nothing at {url}");
    }
    // A burst, some 5 MB in all: more than the queues hold.
    let url = format!("http://{GUEST_ADDRESS}:8080/[1-2000]");
    let arguments = ["--output", "/dev/null", "--write-out", "%{http_code}\n", "--parallel", &url];
    let codes = curl(&namespace, &arguments)?;
    let codes = String::from_utf8_lossy(&codes.stdout);
    ensure!(codes.lines().filter(|code| *code == "404").count() == 2000, "answers are missing:\n{codes}");
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(0)?.with_text(&["stopped"])?;
    crate::capture::check_frames(&file, "GET /healthz HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n")?;
    Ok(Verdict::Passed)
}

/// The manifest's network is not there: the program is told, has the machine's own loopback, and is reached by nobody.
fn none(backend: Backend) -> Result<()> {
    let mut machine = Machine::start(&tool::image("examples/web")?, backend, &["--net", "none"])?;
    machine.expect("serving on")?;
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", machine.process()))?;
    for process in children.split_whitespace().chain([machine.process().to_string().as_str()]) {
        let sockets = tcp_sockets(process)?;
        ensure!(sockets == 0, "process {process} of the machine has {sockets} TCP sockets");
    }
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(0)?.with_text(&["--net none", "stopped"]).map(drop)
}

/// How many TCP sockets a process has (proc_pid_fd(5); proc_pid_net(5)).
fn tcp_sockets(process: &str) -> Result<usize> {
    let tables =
        ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/{process}/net/{name}")).unwrap_or_default());
    let known: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| Some(format!("socket:[{}]", line.split_whitespace().nth(9)?)))
        .collect();
    let links =
        fs::read_dir(format!("/proc/{process}/fd"))?.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    Ok(links.filter(|link| known.iter().any(|socket| link.as_os_str() == socket.as_str())).count())
}

/// Why no interface can be made here, if so.
pub(crate) fn lacks() -> Option<String> {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        return Some("a TAP interface and a network namespace take root".into());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("no /dev/net/tun here".into());
    }
    let has_ip = Command::new("ip").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    (!has_ip).then(|| "no ip here (apt-get install iproute2)".into())
}

/// Runs curl inside.
fn curl(namespace: &Namespace, arguments: &[&str]) -> Result<Output> {
    finish(
        namespace
            .command("curl")
            .args(["--silent", "--show-error", "--max-time"])
            .arg(PATIENCE.as_secs().to_string())
            .args(arguments),
    )
}

fn finish(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output)
}
