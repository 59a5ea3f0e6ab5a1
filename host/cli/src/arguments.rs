//! The command line. Its help text is written here and nowhere else.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fleet::Name;

use crate::size;

/// Seals an ordinary Rust program and the operating system it needs into one image, and runs it
#[derive(Debug, Parser)]
#[command(name = "ampoule", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ampoule new hello && ampoule run hello         make a package, build it, run it
  ampoule run examples/web --publish 80:8080     serve the guest's port 8080 on the host's port 80
  ampoule run web.img --on qemu --memory 32M     boot a built image under QEMU
  ampoule run web.img --detach --name web        the same in the background; then ps, logs, stop, kill, rm
  ampoule test                                   run a project's own tests in machines
  ampoule inspect web.img                        what is in it, and what it may do

Exit status: the guest's own; 2 for a wrong command line or image, 1 where the work failed.";

/// What to do. Only the options of the command in hand are put together, which spares each start a tenth of a millisecond;
/// a command's line stands here for the list of commands, and once more at its options for their help.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Make a new package with a manifest
    New(New),
    /// Build a package and seal it into an image
    Build(Build),
    /// Run an image, building it first where a package is named
    Run(Box<Run>),
    /// Run a project's own tests in machines
    Test(Test),
    /// List the machines that run in the background
    Ps(Ps),
    /// Show what the machines in the background use and do, live
    Top(Top),
    /// Show what a machine in the background has printed
    Logs(Logs),
    /// Stop machines in the background, killing what does not stop
    Stop(Stop),
    /// End machines in the background at once
    Kill(Kill),
    /// Remove machines that have ended, with what they printed
    Rm(Rm),
    /// Show what is in an image and what it may do
    Inspect(Inspect),
    /// Show who signed an image
    Verify(Verify),
    /// Show what this computer can build and run, and how to get the rest
    Doctor,
    /// Write completions for a shell to standard output
    Completions(Completions),
}

/// Make a new package with a manifest
#[derive(Debug, Args)]
pub struct New {
    /// Folder to make; its last part is the package's name
    pub path: PathBuf,
}

/// Build a package and seal it into an image
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule build                  the package in this folder
  ampoule build examples/web     the package in that folder
  ampoule build web -o web.img   a package of this folder's workspace
  ampoule build web --sign ~/.ssh/id_ed25519

The image goes to target/ampoule/NAME.img, its debug file beside it; the image's path is printed.")]
pub struct Build {
    /// The package's folder, or the name of a package of the workspace in this folder
    #[arg(default_value = ".")]
    pub package: PathBuf,
    /// How to build it.
    #[command(flatten)]
    pub options: BuildOptions,
    /// Where to write the image
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Build it so that `run --trace` can show its calls: larger and slower
    #[arg(long)]
    pub trace: bool,
    /// Sign it with this OpenSSH Ed25519 key; the signature goes beside it, IMAGE.sig
    #[arg(long, value_name = "KEY")]
    pub sign: Option<PathBuf>,
}

/// How a package is built.
#[derive(Clone, Debug, Default, Args)]
pub struct BuildOptions {
    /// Which of the package's binaries, where it has several
    #[arg(long, value_name = "NAME")]
    pub bin: Option<String>,
    /// Features to build with
    #[arg(short = 'F', long, value_name = "FEATURES", value_delimiter = ',')]
    pub features: Vec<String>,
    /// Build without the package's default features
    #[arg(long)]
    pub no_default_features: bool,
    /// Keep everything that a debugger can use in the debug file: variables and types, too, not only names and lines
    #[arg(long)]
    pub debuginfo: bool,
    /// Use Cargo.lock as it is
    #[arg(long)]
    pub locked: bool,
    /// Do without the network
    #[arg(long)]
    pub offline: bool,
    /// So that its calls of the library OS can be told of (`--trace`).
    #[arg(skip)]
    pub traced: bool,
}

/// Run an image, building it first where a package is named
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  ampoule run                                   the package in this folder
  ampoule run web.img --publish 80:8080         host port 80 leads to the guest's port 8080
  ampoule run web.img --publish [::1]:80:8080   the same, on one of the host's addresses
  ampoule run web.img --on qemu --machine q35   another machine, the same file
  ampoule run tool.img -- --verbose input       with arguments
  ampoule run web.img --detach --name web       in the background, under a name

Ctrl-C asks the guest to stop (it sees SIGINT; SIGTERM likewise); a second one ends it at once.
With --detach the command ends when the machine listens at its ports, or has run for a moment where it has none, and prints
its name. If it fails before, what it printed is shown and the exit status is the one that it would have had.")]
pub struct Run {
    /// An image, a package's folder, or the name of a package of the workspace in this folder
    #[arg(default_value = ".")]
    pub target: PathBuf,
    /// What to run it on
    #[arg(long, value_enum, default_value_t)]
    pub on: On,
    /// Which of QEMU's machines
    #[arg(long, value_enum, default_value_t)]
    pub machine: Machine,
    /// Where ports of the guest are reached.
    #[arg(
        short,
        long,
        value_name = "PORTS",
        value_parser = publish,
        help = "Where a port of the guest is reached: [ADDRESS:]PORT[:GUEST-PORT][/tcp|/udp]; without it, each port that the manifest lists is at 127.0.0.1 under its own number"
    )]
    pub publish: Vec<Publish>,
    /// How it is connected, instead of by the host's own sockets: none, or tap:NAME[,ADDRESS/PREFIX[,GATEWAY[,NAME-SERVER]]]
    /// with a TAP interface that is there (without an address it asks by DHCP)
    #[arg(long, value_name = "HOW")]
    pub net: Option<monitor::Network>,
    /// RAM, instead of what the manifest says
    #[arg(short, long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,
    /// An environment variable for the guest
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = environment)]
    pub env: Vec<String>,
    /// Hand it each key of the terminal as it is typed, unshown; Ctrl-C still stops it
    #[arg(long, conflicts_with = "detach")]
    pub raw: bool,
    /// Run it in the background, and print its name once it has started
    #[arg(short, long)]
    pub detach: bool,
    /// Its name in the background, instead of the package's
    #[arg(long, value_name = "NAME", requires = "detach", value_parser = Name::parse)]
    pub name: Option<Name>,
    /// Run it only if it is signed by one of these keys
    #[arg(long, value_name = "KEYS")]
    pub require_signature: Option<PathBuf>,
    /// Run nothing: print what its two processes give up, and what they keep
    #[arg(long, conflicts_with = "detach")]
    pub explain_jail: bool,
    /// When it has ended, show what its start took, phase by phase; with a file, also write that for Chrome's trace viewer
    /// and Perfetto
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "detach")]
    pub timeline: Option<Option<PathBuf>>,
    /// Write what goes over its network to this file, in the pcap format (tcpdump -r, Wireshark): frames on a TAP interface and under
    /// QEMU, otherwise packets made up from what its sockets carry
    #[arg(long, value_name = "FILE", conflicts_with = "detach")]
    pub pcap: Option<PathBuf>,
    /// Show each call that the program makes of its operating system, when it has ended, as strace does: all but the heap's and
    /// locks', or those named: calls, families of them (file, desc, net, thread, lock, memory, heap, time, signal, process), or
    /// all; a word behind a ! takes away. A package is built for it; an image has to have been
    #[arg(
        long,
        value_name = "CALLS",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with_all = ["detach", "explain_jail"]
    )]
    pub trace: Option<Option<String>>,
    /// Write the trace to this file instead of standard error
    #[arg(long, value_name = "FILE", requires = "trace")]
    pub trace_file: Option<PathBuf>,
    /// Have it wait for gdb at this port of 127.0.0.1, before the program's first instruction (0: any free port); as a process,
    /// for a gdb that attaches to it. The command for gdb is printed. A package is built with --debuginfo
    #[arg(long, value_name = "PORT", conflicts_with = "detach")]
    pub gdb: Option<u16>,
    /// How to build it, where a package is named.
    #[command(flatten)]
    pub options: BuildOptions,
    /// Arguments for the guest, instead of the manifest's
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<OsString>,
}

impl Run {
    /// Reads `ampoule run TARGET [--on …] [-- ARGS]` without clap, whose start takes a fifth of a millisecond: about
    /// as long as a machine's. `None` for every other command line, wrong ones included.
    pub fn quick(words: &[OsString]) -> Option<Self> {
        let (command, rest) = words.get(1..)?.split_first()?;
        let (target, mut rest) = rest.split_first()?;
        if command != "run" || target.is_empty() || target.as_encoded_bytes().starts_with(b"-") {
            return None;
        }
        let mut run = Run { target: target.into(), ..Run::default() };
        loop {
            match rest {
                [] => return Some(run),
                [word, arguments @ ..] if word == "--" => {
                    run.arguments = arguments.to_vec();
                    return Some(run);
                }
                [word, value, others @ ..] if word == "--on" => {
                    run.on = On::from_str(value.to_str()?, false).ok()?;
                    rest = others;
                }
                _ => return None,
            }
        }
    }
}

/// What runs the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// The best that works here: KVM, otherwise a process
    #[default]
    Auto,
    /// A virtual machine of our own, by this Linux's KVM
    Kvm,
    /// A locked-down process of this Linux
    Process,
    /// QEMU, with KVM or without
    Qemu,
}

/// QEMU's machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    /// Small and quick to start, virtio over MMIO
    #[default]
    Microvm,
    /// A PC with PCI Express
    Q35,
}

/// Run a project's own tests in machines
#[derive(Debug, Args)]
#[command(
    override_usage = "ampoule test [OPTIONS] [CARGO-TEST-OPTIONS] [-- TEST-OPTIONS]",
    after_help = "\
Examples:
  ampoule test                         all tests of the package in this folder
  ampoule test --on kvm -p web --lib   the unit tests of one package, each program in a virtual machine
  ampoule test parser -- --nocapture   tests with \"parser\" in their names, and what they print
  ampoule test --release --doc         the tests in its documentation

It is `cargo test`, with each test program linked with the library OS and run in a machine of its own. All options but these
are cargo's, see `cargo test --help`. A machine may listen and connect anywhere, has 4 GiB of memory (half of
the computer's, if that is less; 1 GiB under QEMU) or what the package's manifest says if that is more, finds the package's
files, read-only, and the environment that a test finds on Linux, except LD_* and TMPDIR."
)]
pub struct Test {
    /// What to run them on
    #[arg(long, value_enum, default_value_t)]
    pub on: On,
    /// Which of QEMU's machines
    #[arg(long, value_enum, default_value_t)]
    pub machine: Machine,
    /// RAM of each machine
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,
    /// Cargo's words.
    #[arg(last = true, hide = true)]
    pub cargo: Vec<OsString>,
}

/// List the machines that run in the background
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule ps                   those that run, and those that were lost
  ampoule ps --all             those that have ended too
  ampoule ps --json            everything that is known of them

A machine is lost when its supervising process was killed, or the host restarted. Its name is free again.")]
pub struct Ps {
    /// List those that have ended, too
    #[arg(short, long)]
    pub all: bool,
    /// Print a JSON array
    #[arg(long)]
    pub json: bool,
}

/// Show what the machines in the background use and do, live
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule top                    a table that is drawn afresh each second, until Ctrl-C
  ampoule top --every 10         each ten seconds
  ampoule top | cat              not on a terminal: one table, over one second
  ampoule top --count 60 >> log  a table a second for a minute

Memory is the resident memory of the machine and of the tool that keeps it, shared pages in parts. IN and OUT are what the
network device carries: frames on a TAP interface, reads and writes of the host's sockets otherwise. Exits are those of the
virtual CPU. What the machine itself would have to say is unknown under QEMU, and written as a dash.")]
pub struct Top {
    /// Seconds between two tables; each is about the time since the last
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub every: u32,
    /// How many tables; default: without end on a terminal, otherwise one
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
}

/// Show what a machine in the background has printed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule logs web             what it has printed so far
  ampoule logs --follow web    and what it prints, until it ends or Ctrl-C

Standard output and standard error are kept together, in order; the last 1 to 2 MiB of them.")]
pub struct Logs {
    /// Go on until the machine ends
    #[arg(short, long)]
    pub follow: bool,
    /// The machine
    #[arg(value_parser = Name::parse)]
    pub name: Name,
}

/// Stop machines in the background, killing what does not stop
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule stop web             it sees SIGTERM, and has 10 seconds
  ampoule stop -t 60 web db    both at once, with a minute for both")]
pub struct Stop {
    /// Seconds until a machine that has not stopped is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,
    /// The machines
    #[arg(required = true, value_name = "NAME", value_parser = Name::parse)]
    pub names: Vec<Name>,
}

/// End machines in the background at once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule kill web             its program is not asked; `ampoule stop` asks first")]
pub struct Kill {
    /// The machines
    #[arg(required = true, value_name = "NAME", value_parser = Name::parse)]
    pub names: Vec<Name>,
}

/// Remove machines that have ended, with what they printed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule rm web               it has ended; its name is free again
  ampoule rm --force web db    killed first, if they run")]
pub struct Rm {
    /// Kill those that run
    #[arg(short, long)]
    pub force: bool,
    /// The machines
    #[arg(required = true, value_name = "NAME", value_parser = Name::parse)]
    pub names: Vec<Name>,
}

/// Show what is in an image and what it may do
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule inspect web.img                    manifest, segments, crates by size, what it can ask for
  ampoule inspect web.img --why tokio        by which way the program reaches a crate
  ampoule inspect web.img --why epoll_wait   or a function, or a module
  ampoule inspect --diff old.img web.img     what grew, by crate and by function
  ampoule inspect web.img --html web.html    all of it as one page
  ampoule inspect web.img --bom -            its bill of materials, CycloneDX JSON

What lies in the image is told by the debug file that `ampoule build` writes beside it (web.debug).")]
pub struct Inspect {
    /// The image
    #[arg(required_unless_present = "diff")]
    pub image: Option<PathBuf>,
    /// Print the way by which the program reaches a crate, a function or a module
    #[arg(long, value_name = "NAME", conflicts_with = "diff")]
    pub why: Option<String>,
    /// Print what grew from one image to another
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with = "image")]
    pub diff: Vec<PathBuf>,
    /// Print JSON; docs/inspect.md says what is in it
    #[arg(long, conflicts_with_all = ["html", "bom"])]
    pub json: bool,
    /// Write a page with everything; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["why", "diff"])]
    pub html: Option<PathBuf>,
    /// Write the bill of materials, CycloneDX JSON; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["why", "diff"])]
    pub bom: Option<PathBuf>,
}

/// Show who signed an image
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ampoule verify web.img --keys ~/.ssh/id_ed25519.pub    one key
  ampoule verify web.img --keys allowed_signers          several, as ssh-keygen(1) has them

The signature lies beside the image (web.img.sig). It is OpenSSH's, so this makes and reads the same:
  ssh-keygen -Y sign -n ampoule -f ~/.ssh/id_ed25519 web.img
  ssh-keygen -Y verify -n ampoule -f allowed_signers -I NAME -s web.img.sig < web.img")]
pub struct Verify {
    /// The image
    pub image: PathBuf,
    /// Public keys of those who may sign: a .pub file, or lines of allowed_signers or authorized_keys
    #[arg(long, value_name = "KEYS")]
    pub keys: PathBuf,
}

/// Write completions for a shell to standard output
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Where a port of the guest is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The host's address, if one is named.
    pub address: Option<std::net::IpAddr>,
    /// The host's port; 0 is any free one.
    pub host_port: u16,
    /// The guest's port.
    pub guest_port: u16,
    /// UDP, not TCP.
    pub udp: bool,
}

/// `[ADDRESS:]PORT[:GUEST-PORT][/tcp|/udp]`.
fn publish(text: &str) -> Result<Publish, String> {
    let (ports, udp) = match text.rsplit_once('/') {
        Some((ports, "udp")) => (ports, true),
        Some((ports, "tcp")) => (ports, false),
        Some(_) => return Err("the protocol is `tcp` or `udp`".into()),
        None => (text, false),
    };
    let (address, ports) = match ports.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").map(|(a, p)| (Some(a), p)).ok_or("an IPv6 address ends with `]:`")?,
        None => match ports.split_once(':') {
            Some((address, rest)) if address.contains('.') => (Some(address), rest),
            _ => (None, ports),
        },
    };
    let address = match address {
        Some(address) => Some(address.parse().map_err(|_| format!("`{address}` is no IP address"))?),
        None => None,
    };
    let (host, guest) = ports.split_once(':').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` is no port from 0 to 65535"));
    match (port(host)?, port(guest)?) {
        (_, 0) => Err("the guest's port cannot be 0".into()),
        (host_port, guest_port) => Ok(Publish { address, host_port, guest_port, udp }),
    }
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = size::parse(text).map_err(|error| error.to_string())?;
    Ok(bytes.checked_next_multiple_of(abi::PAGE_SIZE).unwrap_or(u64::MAX))
}

fn environment(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("write NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_quick_way_reads_the_same() {
        for line in ["run x.img", "run x.img --on kvm", "run x.img --on process -- a -b --", "run x --"] {
            let words: Vec<OsString> = std::iter::once("ampoule").chain(line.split(' ')).map(OsString::from).collect();
            let quick = Run::quick(&words).expect("a plain command line");
            match Arguments::try_parse_from(words).expect("a command line").command {
                Command::Run(run) => assert_eq!(format!("{quick:?}"), format!("{run:?}")),
                other => panic!("{other:?}"),
            }
        }
        for line in
            ["run", "run -h", "run x.img --on xen", "run x.img --on", "run x.img -m 1M", "run x.img y", "build x"]
        {
            let words: Vec<OsString> = std::iter::once("ampoule").chain(line.split(' ')).map(OsString::from).collect();
            assert!(Run::quick(&words).is_none(), "{line}");
        }
    }

    /// Those of docs/debugging.md.
    #[test]
    fn commands_that_are_documented_are_commands() {
        let page = include_str!("../../../docs/debugging.md");
        let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ ampoule ")).collect();
        assert!(commands.len() > 5, "{commands:?}");
        for command in commands {
            let words = command.split(['#', '&']).next().unwrap_or_default().split_whitespace();
            let result = Arguments::try_parse_from(std::iter::once("ampoule").chain(words));
            assert!(result.is_ok(), "{command}: {:?}", result.err());
        }
    }

    #[test]
    fn ports_are_read() {
        let port = |address: Option<&str>, host_port, guest_port, udp| {
            Ok(Publish { address: address.map(|a| a.parse().expect("an address")), host_port, guest_port, udp })
        };
        assert_eq!(publish("8080"), port(None, 8080, 8080, false));
        assert_eq!(publish("80:8080"), port(None, 80, 8080, false));
        assert_eq!(publish("0:53/udp"), port(None, 0, 53, true));
        assert_eq!(publish("0.0.0.0:80:8080/tcp"), port(Some("0.0.0.0"), 80, 8080, false));
        assert_eq!(publish("[::1]:80:8080"), port(Some("::1"), 80, 8080, false));
    }

    #[test]
    fn wrong_ports_are_refused() {
        for text in ["", "x", "80:", "80:0", "80:80:80", "80/sctp", "1.2.3:80:80", "[::1]80", "70000"] {
            assert!(publish(text).is_err(), "{text}");
        }
    }
}
