//! Names over the machine's own TCP/IP: a name server that others wrote answers on the other side of a TAP interface.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::Machine;
use ampoule_tests::tool;
use anyhow::{Context, Result, anyhow, bail};
use bench::namespace::{GUEST_ADDRESS, HOST_ADDRESS, Namespace};

use crate::{services, tap};

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    Backend::ALL
        .into_iter()
        .map(|backend| Case::new(format!("names on a TAP interface on {backend}"), move || names(backend)))
}

/// A name server, ended when it is dropped.
struct Server(Child);

impl Server {
    fn start(namespace: &Namespace) -> Result<Self> {
        static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| services::native("hickory-dns").map_err(|error| format!("{error:#}")));
        let program = program.as_deref().map_err(|error| anyhow!("{error}"))?;
        let zones = tool::root().join("tests/services/hickory-dns/etc");
        let mut command = namespace.command(program);
        command.arg("--config").arg(zones.join("named.toml")).arg("--zonedir").arg(&zones);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().context("the name server has no output")?;
        let server = Self(child);
        let mut lines = BufReader::new(output);
        let mut line = String::new();
        while !line.contains("awaiting connections") {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                bail!("the name server does not serve");
            }
        }
        // Whatever it says later is taken, or it would wait for somebody to read it.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn names(backend: Backend) -> Result<Verdict> {
    if let Some(reason) = backend.lacks().or_else(tap::lacks) {
        return Ok(Verdict::Skipped(reason));
    }
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/names", &[], &abort)?;
    let namespace = Namespace::new()?;
    let _server = Server::start(&namespace)?;
    let network = format!("tap:tap0,{GUEST_ADDRESS}/24,{HOST_ADDRESS},{HOST_ADDRESS}");
    let asked = ["www", "many", "ftp.example.test", "WWW.Example.Test.", "nobody", "www.", "www.example.com", "db"];
    let arguments = [&["--net", network.as_str(), "--"], &asked[..]].concat();
    let end = Machine::start_by(&namespace.prefix(), &image, backend, &arguments)?.end()?.with_status(0)?;
    let expected = [
        // Found in the second of the domains that are searched; the first one may not even be asked for.
        "www: 192.0.2.1",
        "many: 198.51.100.1",
        "ftp.example.test: 192.0.2.1",
        "WWW.Example.Test.: 192.0.2.1",
        "nobody: failed to lookup address information",
        // With a final dot it is not searched for, and nothing says that it may be asked for.
        "www.: ",
        "www.example.com: ",
        "db: 10.99.0.1",
    ];
    let end = end.with_text(&expected)?;
    if end.output.contains("www.: 192") || end.output.contains("example.com: 192") {
        bail!("names lead where they should not:\n{}", end.all());
    }
    Ok(Verdict::Passed)
}
