//! A machine among other implementations: its address from dnsmasq's DHCP and router advertisements, names from dnsmasq,
//! pings from Linux's ping, and Linux as a router whose way on is narrower than the link.

use std::process::{Child, Command, Output, Stdio};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::Machine;
use ampoule_tests::{linux, tool};
use anyhow::{Context, Result, bail, ensure};
use bench::namespace::Namespace;
use rustix::process::Signal;

use crate::tap;

/// Linux's addresses: on the machine's link, and of the server behind it.
const ROUTER: [&str; 2] = ["10.99.0.1/24", "2001:db8:99::1/64"];
const FAR: [&str; 2] = ["10.98.0.2/24", "2001:db8:98::2/64"];
/// What the way to the server takes.
const NARROW: usize = 1300;
/// Bytes to the server.
const BYTES: &str = "4194304";
const PORT: &str = "7100";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for backend in Backend::ALL {
        cases.push(Case::new(format!("dnsmasq's addresses and Linux's pings on {backend}"), move || pings(backend)));
        cases.push(Case::new(format!("a narrow path behind Linux on {backend}"), move || narrow(backend)));
    }
    cases
}

/// Why it cannot be tried here, if so.
fn lacks(backend: Backend) -> Option<String> {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    backend.lacks().or_else(tap::lacks).or_else(|| match (has("dnsmasq"), has("ping")) {
        (false, _) => Some("no dnsmasq here (apt-get install dnsmasq-base)".into()),
        (_, false) => Some("no ping here (apt-get install iputils-ping)".into()),
        _ => None,
    })
}

/// The machine's link, and a network behind it.
struct Network {
    router: Namespace,
    far: Namespace,
    servers: Vec<Child>,
}

impl Network {
    fn new() -> Result<Self> {
        let (router, far) = (Namespace::bare()?, Namespace::bare()?);
        let [.., name] = far.prefix();
        router.ip(&format!("link add r0 type veth peer name r1 netns {name}"))?;
        for line in [
            &format!("addr add {} dev tap0", ROUTER[0]),
            &format!("addr add {} dev tap0 nodad", ROUTER[1]),
            "addr add 10.98.0.1/24 dev r0",
            "addr add 2001:db8:98::1/64 dev r0 nodad",
            "link set tap0 up",
            "link set r0 up",
            // The link itself takes as much as any: only the router knows.
            &format!("route replace 10.98.0.0/24 dev r0 mtu lock {NARROW}"),
            &format!("-6 route replace 2001:db8:98::/64 dev r0 mtu lock {NARROW}"),
        ] {
            router.ip(line)?;
        }
        for line in [
            &format!("addr add {} dev r1", FAR[0]),
            &format!("addr add {} dev r1 nodad", FAR[1]),
            "link set r1 up",
            "route add default via 10.98.0.1",
            "-6 route add default via 2001:db8:98::1",
        ] {
            far.ip(line)?;
        }
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
        finish(router.command("sh").args(["-c", forward]))?;
        let mut network = Self { router, far, servers: Vec::new() };
        network.start_dnsmasq()?;
        Ok(network)
    }

    fn start_dnsmasq(&mut self) -> Result<()> {
        let mut command = self.router.command("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--log-facility=-",
        ]);
        command.args(["--interface=tap0", "--bind-interfaces", "--no-resolv", "--no-hosts", "--no-ping"]);
        command.args(["--leasefile-ro", "--dhcp-authoritative", "--dhcp-range=10.99.0.50,10.99.0.60,255.255.255.0,1h"]);
        command.args(["--enable-ra", "--dhcp-range=2001:db8:99::,ra-only,64"]);
        command.arg("--host-record=both.example.test,192.0.2.5,2001:db8:99::5");
        // More than fits a datagram: it says so, and answers by TCP.
        command.args((1..=60).map(|last| format!("--host-record=many.example.test,198.51.100.{last}")));
        self.servers.push(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start dnsmasq")?);
        Ok(())
    }

    fn serve(&mut self) -> Result<()> {
        let program = linux::program("guest-transfer")?;
        let mut command = self.far.command(program);
        command.args(["serve", PORT]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = command.spawn().context("cannot start the server")?;
        let output = server.stdout.take().context("the server has no output")?;
        self.servers.push(server);
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
        ensure!(line.contains("serving"), "the server says {line:?}");
        Ok(())
    }

    fn start(&self, guest: &str, backend: Backend, words: &[&str]) -> Result<Machine> {
        let abort = [("CARGO_PROFILE_RELEASE_PANIC", std::path::Path::new("abort"))];
        let image = tool::image_with(&format!("tests/guests/{guest}"), &[], &abort)?;
        let arguments = [&["--net", "tap:tap0", "--"], words].concat();
        Machine::start_by(&self.router.prefix(), &image, backend, &arguments)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // `ip netns exec` has become the server.
        for server in &mut self.servers {
            _ = server.kill();
            _ = server.wait();
        }
    }
}

fn pings(backend: Backend) -> Result<Verdict> {
    if let Some(reason) = lacks(backend) {
        return Ok(Verdict::Skipped(reason));
    }
    let network = Network::new()?;
    let mut machine =
        network.start("addresses", backend, &["both.example.test", "many.example.test", "no.example.test"])?;
    machine.expect("staying")?;
    let said = machine.said();
    let own = |start: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix("eth0 ").filter(|rest| rest.starts_with(start)));
        line.with_context(|| format!("no address {start}…\n{said}"))
    };
    let (four, six, link) = (own("10.99.0.5")?, own("2001:db8:99:")?, own("fe80:")?);
    for (address, prefix) in [(four, "/24"), (six, "/64"), (link, "/64")] {
        ensure!(address.ends_with(prefix), "{address} has not {prefix}");
    }
    for text in ["both.example.test: 2001:db8:99::5 192.0.2.5", "no.example.test: failed to lookup"] {
        ensure!(said.contains(text), "no `{text}`\n{said}");
    }
    let many = said.lines().find(|line| line.starts_with("many.")).unwrap_or_default().matches("198.51.100.").count();
    ensure!(many == 32, "{many} addresses of 60, of which 32 are taken\n{said}");
    let bare = |address: &str| address.split('/').next().unwrap_or_default().to_owned();
    let link = format!("{}%tap0", bare(link));
    // The last does not fit a frame, either way.
    for address in [bare(four), bare(six), link] {
        for size in ["56", "1400", "4000"] {
            let ping = ["-c", "5", "-i", "0.2", "-w", "30", "-q", "-s", size, &address];
            let output = finish(network.router.command("ping").args(ping))?;
            let text = String::from_utf8_lossy(&output.stdout);
            ensure!(text.contains("5 received"), "ping {ping:?}:\n{text}");
        }
    }
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(143)?;
    Ok(Verdict::Passed)
}

fn narrow(backend: Backend) -> Result<Verdict> {
    if let Some(reason) = lacks(backend) {
        return Ok(Verdict::Skipped(reason));
    }
    let mut network = Network::new()?;
    network.serve()?;
    for far in FAR {
        let address: std::net::IpAddr = far.split('/').next().unwrap_or_default().parse()?;
        let server = std::net::SocketAddr::new(address, PORT.parse()?).to_string();
        let machine = network.start("transfer", backend, &["ask", &server, "up", BYTES])?;
        machine.end()?.with_status(0).with_context(|| server.clone())?.with_text(&["bytes are right"])?;
    }
    // That it was narrow Linux knows as well: it has told the machine so, once for each family and maybe more.
    let output = finish(network.router.command("cat").args(["/proc/net/snmp", "/proc/net/snmp6"]))?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(told(&text, "Icmp6OutPktTooBigs").unwrap_or(0) > 0, "Linux told nothing by ICMPv6\n{text}");
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (Some(names), Some(values)) = (rows.next(), rows.next()) else { bail!("no ICMP row\n{text}") };
    let told = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "OutDestUnreachs");
    ensure!(told.is_some_and(|(_, count)| count != "0"), "Linux told nothing by ICMP\n{text}");
    Ok(Verdict::Passed)
}

fn told(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

fn finish(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let said = || [&output.stdout[..], &output.stderr].concat();
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said()).trim());
    Ok(output)
}
