//! Machines in the background: one's trouble is not another's, names are unique, what is stale is recognised, and whoever
//! starts a machine hears what became of it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ampoule_tests::backend::Backend;
use ampoule_tests::fleet::{Fleet, Said};
use ampoule_tests::harness::Case;
use ampoule_tests::machine::PATIENCE;
use ampoule_tests::tool;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::http::Client;
use crate::on;

/// Any free port of the host's, for the guest's 8080.
const PUBLISH: [&str; 2] = ["--publish", "0:8080"];

pub(crate) fn cases() -> Vec<Case> {
    let process = Backend::Process;
    vec![
        on(process, "detached start to end", start_to_end),
        on(Backend::Microvm, "detached start to end", start_to_end),
        on(process, "detached machines live apart", live_apart),
        on(process, "detached supervisor dies", supervisor_dies),
        on(Backend::Microvm, "detached supervisor dies", supervisor_dies),
        on(process, "detached session is ended", session_is_ended),
        on(process, "detached machine fails at once", fails_at_once),
        on(process, "detached machine that does not stop", does_not_stop),
        on(process, "detached machine's log", log),
        on(process, "top shows what a machine does", top),
        on(Backend::Kvm, "top shows what a machine does", top),
        on(Backend::Microvm, "top shows what a machine does", top),
        on(process, "detached names are unique", names_are_unique),
        on(process, "detached start is interrupted", start_is_interrupted),
        on(process, "detached state is stale", state_is_stale),
    ]
}

/// Runs `web` in the background until it serves, and gives its name.
fn web(fleet: &Fleet, backend: Backend, arguments: &[&str]) -> Result<String> {
    let name = fleet.run(&tool::image("examples/web")?, &[backend.flags(), arguments].concat())?;
    // QEMU listens long before its guest does.
    until("it serves", || Ok(fleet.say(&["logs", &name])?.output.contains("serving on")))?;
    Ok(name)
}

/// Asks a machine for a page.
fn ask(fleet: &Fleet, name: &str) -> Result<()> {
    let health = Client::connect(fleet.port(name)?)?.get("/healthz")?;
    ensure!(health.status == 200 && health.body == "ok\n", "{name}: {} {}", health.status, health.body);
    Ok(())
}

/// The requests of two seconds, in the counters' columns; and a machine with nothing to do, which does nothing.
fn top(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    let busy = web(&fleet, backend, &[&PUBLISH[..], &["--name", "busy"]].concat())?;
    let idle = web(&fleet, backend, &[&PUBLISH[..], &["--name", "idle"]].concat())?;
    let mut command = fleet.command(&["top", "--count", "1", "--every", "2"])?.spawn()?;
    let mut client = Client::connect(fleet.port(&busy)?)?;
    let mut requests = 0;
    while command.try_wait()?.is_none() {
        client.get("/healthz")?;
        requests += 1;
    }
    let output = command.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.starts_with("NAME") && text.lines().count() == 3, "no table of two machines:\n{text}");
    let row = |name: &str| -> Result<Vec<&str>> {
        let line = text.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name} in\n{text}"))?;
        Ok(line.split_ascii_whitespace().collect())
    };
    // NAME BACKEND CPU MEMORY MiB IN INBYTES OUT OUTBYTES CALLS EXITS
    let (busy, idle) = (row(&busy)?, row(&idle)?);
    ensure!(busy.len() == 11 && idle.len() == 11, "columns are missing:\n{text}");
    ensure!(idle[3].parse::<f64>()? > 1.0, "no memory:\n{text}");
    let number = |text: &str| -> Result<f64> {
        let units = [('k', 1e3), ('M', 1e6), ('G', 1e9)];
        let unit = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(*unit)?, *factor)));
        let (digits, unit) = unit.unwrap_or((text, 1.0));
        Ok(digits.parse::<f64>().with_context(|| format!("{text} is no number"))? * unit)
    };
    let rest: Vec<_> = [5, 6, 7, 8, 9, 10].map(|column| busy[column]).into();
    if backend.has_frames() {
        ensure!(rest == ["-"; 6], "under QEMU nothing is known:\n{text}");
        return Ok(());
    }
    // The tool took its two samples, two seconds apart, somewhere in the time in which the requests were made. The number
    // is rounded.
    let rate = number(busy[5])?;
    let most = f64::from(requests) / 2.0 * 1.05;
    ensure!(rate >= 1.0 && rate <= most, "{rate} messages a second, {requests} requests in two:\n{text}");
    ensure!(number(busy[8])? > rate * 100.0 && number(busy[9])? >= 1.0, "bytes and calls:\n{text}");
    ensure!((busy[10] == "-") == (backend == Backend::Process), "exits:\n{text}");
    ensure!(number(busy[2])? > 0.0, "it uses no CPU time:\n{text}");
    ensure!(idle[2] == "0.0" && idle[5..9] == ["0"; 4], "an idle machine does something:\n{text}");
    Ok(())
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn pid(fleet: &Fleet, name: &str, role: &str) -> Result<Pid> {
    let number = fleet.look(name)?[role].as_i64().with_context(|| format!("no {role}"))?;
    Pid::from_raw(number as i32).context("no number")
}

fn kill_supervisor(fleet: &Fleet, name: &str) -> Result<()> {
    kill_process(pid(fleet, name, "supervisor")?, Signal::KILL).context("cannot kill it")
}

fn start_to_end(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    ensure!(fleet.say(&["ps", "-a"])?.output == "NAME  IMAGE  BACKEND  STATE  UPTIME  PORTS\n");
    let name = web(&fleet, backend, &PUBLISH)?;
    ensure!(name == "web", "its name is {name}");
    ask(&fleet, "web")?;
    let listed = fleet.say(&["ps"])?.with_status(0)?;
    listed.with_text(&["web.img", "running", &backend.to_string(), &format!("{}->8080/tcp", fleet.port("web")?)])?;
    let follower = fleet.command(&["logs", "--follow", "web"])?.spawn()?;
    fleet.say(&["rm", "web"])?.with_status(1)?.with_text(&["web is running; stop it first (ampoule stop web)"])?;
    fleet.say(&["stop", "web"])?.with_status(0)?.with_text(&["web stopped\n"])?;
    let followed = Said::of(follower.wait_with_output()?)?.with_status(0)?;
    followed.with_text(&["listening on http://127.0.0.1:", "serving on", "stopped\n"])?;
    let ended = fleet.look("web")?;
    ensure!(ended["state"] == "exited" && ended["status"] == 0 && ended["supervisor"].is_null(), "{ended}");
    ensure!(ended["digest"].as_str().is_some_and(|digest| digest.len() == 64), "{ended}");
    ensure!(!fleet.say(&["ps"])?.output.contains("web"), "it is listed among those that run");
    fleet.say(&["stop", "web"])?.with_status(0)?.with_text(&["web has ended already"])?;
    fleet.say(&["rm", "web"])?.with_status(0)?;
    fleet
        .say(&["logs", "web"])?
        .with_status(1)?
        .with_text(&["no machine is named web; `ampoule ps --all` lists them"])?;
    Ok(())
}

/// Whatever ends one of three, the two others answer.
fn live_apart(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    for name in ["web", "web-2", "web-3"] {
        ensure!(web(&fleet, backend, &PUBLISH)? == name, "not {name}");
    }
    ["web", "web-2", "web-3"].iter().try_for_each(|name| ask(&fleet, name))?;
    kill_supervisor(&fleet, "web")?;
    until("web is lost", || Ok(fleet.state("web")? == "lost"))?;
    ["web-2", "web-3"].iter().try_for_each(|name| ask(&fleet, name))?;
    kill_process(pid(&fleet, "web-2", "runner")?, Signal::KILL)?;
    until("web-2 is killed", || Ok(fleet.state("web-2")? == "killed"))?;
    ask(&fleet, "web-3")?;
    fleet.say(&["ps"])?.with_status(0)?.with_text(&["lost", "running"])?;
    // Several names at once: what can be done is done, and what cannot is said.
    let said = fleet.say(&["stop", "web", "nobody", "web-3"])?.with_status(1)?;
    said.with_text(&[
        "web is lost: its supervising process was killed",
        "no machine is named nobody",
        "web-3 stopped",
    ])?;
    fleet.say(&["rm", "web", "web-2", "web-3"])?.with_status(0)?;
    ensure!(fs::read_dir(fleet.machine(""))?.next().is_none(), "something is left");
    Ok(())
}

/// Nothing of a machine outlives its supervisor, and nothing keeps its name and its port from the next one.
fn supervisor_dies(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    web(&fleet, backend, &PUBLISH)?;
    let port = fleet.port("web")?;
    ask(&fleet, "web")?;
    kill_supervisor(&fleet, "web")?;
    until("its port is free", || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()))?;
    ensure!(fleet.state("web")? == "lost", "it is not lost");
    let again = web(&fleet, backend, &["--name", "web", "--publish", &format!("{port}:8080")])?;
    ensure!(again == "web" && fleet.port("web")? == port, "another name or port");
    ask(&fleet, "web")
}

/// Whoever ends a session, or a host, sends SIGTERM to every process of it. The machine stops in order all the same.
fn session_is_ended(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    web(&fleet, backend, &PUBLISH)?;
    let (supervisor, runner) = (pid(&fleet, "web", "supervisor")?, pid(&fleet, "web", "runner")?);
    ensure!(rustix::process::getsid(Some(runner))? == supervisor, "they have no session of their own");
    kill_process(supervisor, Signal::TERM)?;
    ask(&fleet, "web")?;
    kill_process_group(supervisor, Signal::TERM)?;
    until("it has ended", || Ok(fleet.state("web")? == "exited"))?;
    ensure!(fleet.look("web")?["status"] == 0, "{}", fleet.look("web")?);
    fleet.say(&["logs", "web"])?.with_text(&["stopped"]).map(drop)
}

/// The status is the foreground's, the reason is said, and nothing is left.
fn fails_at_once(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let publish = format!("{}:8080", taken.local_addr()?.port());
    let web = tool::image("examples/web")?;
    let damaged = web.with_file_name("damaged-detached.img");
    let mut bytes = fs::read(&web)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes)?;
    let (exit7, panic) = (tool::image("examples/exit7")?, tool::image("examples/panic")?);
    let cases: [(&Path, &[&str], i32, &[&str]); 6] = [
        (&web, &["--publish", &publish], 1, &["is in use: stop what listens there", "AddrInUse"]),
        (&web, &["--memory", "1M"], 1, &["give --memory"]),
        (&damaged, &[], 2, &["damaged-detached.img", "its digest is wrong"]),
        (Path::new(file!()), &[], 2, &["this is not an ampoule image"]),
        (&exit7, &[], 7, &["ending with status 7", "with status 7; it is not kept"]),
        (&panic, &[], 134, &["index out of bounds", "panic/src/main.rs:10"]),
    ];
    for (image, arguments, status, texts) in cases {
        let image = image.to_str().context("UTF-8")?;
        let arguments = [&["run", image], backend.flags(), arguments].concat();
        let said = Said::of(fleet.command(&arguments)?.arg("--detach").current_dir(tool::root()).output()?)?;
        let said = said.with_status(status)?.with_text(texts).with_context(|| image.to_owned())?;
        ensure!(said.output.is_empty(), "it printed a name: {said:?}");
        let ahead = Said::of(fleet.command(&arguments)?.current_dir(tool::root()).output()?)?;
        ahead.with_status(status).context("in the foreground")?;
    }
    ensure!(fs::read_dir(fleet.machine(""))?.next().is_none(), "something is left");
    Ok(())
}

/// A request that never ends keeps `web` from stopping; so `stop` kills it, and says so.
fn does_not_stop(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    web(&fleet, backend, &PUBLISH)?;
    let mut stream = crate::http::connect(fleet.port("web")?)?;
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n")?;
    ask(&fleet, "web")?;
    let start = Instant::now();
    let said = fleet.say(&["stop", "--timeout", "1", "web"])?.with_status(0)?;
    said.with_text(&["web killed: it had not stopped after 1 s\n"])?;
    ensure!(start.elapsed() >= Duration::from_secs(1), "it had no time");
    ensure!(fleet.state("web")? == "killed", "it is not killed");
    fleet.say(&["ps", "--all"])?.with_text(&["killed"])?;
    web(&fleet, backend, &["--name", "other", PUBLISH[0], PUBLISH[1]])?;
    fleet.say(&["kill", "other"])?.with_status(0)?.with_text(&["other killed\n"])?;
    ensure!(fleet.look("other")?["signal"] == 9, "it was not SIGKILL");
    fleet
        .say(&["rm", "--force", "web", "other"])?
        .with_status(0)?
        .with_text(&["web removed", "other removed"])
        .map(drop)
}

/// Standard output and standard error in order; of much, the end; and a name for what ended well at once.
fn log(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    let image = prints()?;
    let few = fleet.run(&image, &[backend.flags(), &["--name", "few", "--", "4"]].concat())?;
    let expected = "line 0000000 on standard output\nline 0000001 on standard error\n\
                    line 0000002 on standard output\nline 0000003 on standard error\n";
    until("few has ended", || Ok(fleet.state(&few)? == "exited"))?;
    ensure!(fleet.say(&["logs", "few"])?.output == expected, "{:?}", fleet.say(&["logs", "few"])?);
    fleet.run(&image, &[backend.flags(), &["--name", "many", "--", "200000"]].concat())?;
    let followed = fleet.say(&["logs", "-f", "many"])?.with_status(0)?;
    ensure!(followed.output.ends_with("line 0199999 on standard error\n"), "the end is not there");
    let kept = fleet.say(&["logs", "many"])?.output;
    let size: u64 =
        fs::read_dir(fleet.machine("many"))?.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum();
    ensure!(kept.len() > 1 << 20 && size < (2 << 20) + 4096, "{} bytes of {size} are kept", kept.len());
    let numbers: Vec<u32> = kept.lines().skip(1).filter_map(|line| line.get(5..12)?.parse().ok()).collect();
    ensure!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "lines are missing or out of order");
    ensure!(numbers.last() == Some(&199_999), "the last line is missing");
    Ok(())
}

fn prints() -> Result<std::path::PathBuf> {
    tool::image_with("tests/guests/prints", &[], &[("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))])
}

/// Of eight who want one name at once, one gets it, and the others hear what to do.
fn names_are_unique(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    let image = tool::image("examples/web")?;
    let image = image.to_str().context("UTF-8")?;
    for round in 0..12 {
        let words = [&["run", image, "--detach", "--name", "same"], backend.flags(), &PUBLISH].concat();
        let all: Vec<_> = (0..8).map(|_| Ok(fleet.command(&words)?.spawn()?)).collect::<Result<_>>()?;
        let said: Vec<Said> =
            all.into_iter().map(|child| Said::of(child.wait_with_output()?)).collect::<Result<_>>()?;
        let (won, lost): (Vec<_>, Vec<_>) = said.iter().partition(|said| said.status == 0);
        ensure!(won.len() == 1 && won[0].output == "same\n", "round {round}: {said:?}");
        let remedy = "a machine named same is running; stop it (ampoule stop same) or give another name (--name)";
        ensure!(lost.iter().all(|said| said.status == 1 && said.errors.contains(remedy)), "round {round}: {lost:?}");
        ask(&fleet, "same")?;
        fleet.say(&["stop", "same"])?.with_status(0)?;
        let taken = fleet.say(&words)?.with_status(1)?;
        taken.with_text(&["a machine named same has ended and is still listed; remove it (ampoule rm same)"])?;
        fleet.say(&["rm", "same"])?.with_status(0)?;
    }
    Ok(())
}

/// Whoever gives up while a machine starts leaves none behind; whoever waits hears that it does not listen.
fn start_is_interrupted(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    let image = prints()?;
    let image = image.to_str().context("UTF-8")?;
    let words = [&["run", image, "--detach", "--name", "slow"], backend.flags(), &["--", "1", "stay"]].concat();
    let mut first = fleet.command(&words)?.spawn()?;
    until("slow runs", || Ok(fleet.look("slow").is_ok_and(|machine| machine["digest"] != "")))?;
    // `timeout` passes it on to the tool.
    kill_process(Pid::from_child(&first), Signal::TERM)?;
    first.wait()?;
    until("slow has gone", || Ok(fleet.look("slow").is_err()))?;
    fleet.say(&words)?.with_status(0)?.with_text(&["slow\n", "it does not listen on tcp port 7007 yet"]).map(drop)
}

/// A host that was restarted, a record that is none, a process number that is somebody else's now.
fn state_is_stale(backend: Backend) -> Result<()> {
    let fleet = Fleet::new()?;
    web(&fleet, backend, &PUBLISH)?;
    web(&fleet, backend, &PUBLISH)?;
    let file = fleet.machine("web").join("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&file)?)?;
    kill_supervisor(&fleet, "web")?;
    until("web is lost", || Ok(fleet.state("web")? == "lost"))?;
    // The number of a process that lives, from before the host's start.
    state["runner"]["pid"] = fleet.look("web-2")?["runner"].clone();
    state["boot"] = "another".into();
    fs::write(&file, state.to_string())?;
    ensure!(fleet.look("web")?["loss"] == "the host was restarted", "{}", fleet.look("web")?);
    // The same with this start, and another moment in it.
    state["boot"] = fleet_boot()?.into();
    fs::write(&file, state.to_string())?;
    web(&fleet, backend, &["--name", "web", PUBLISH[0], PUBLISH[1]])?;
    ask(&fleet, "web-2").context("a stranger was killed")?;
    fs::write(&file, "{")?;
    let said = fleet.say(&["ps"])?.with_status(1)?;
    said.with_text(&["what is written about web cannot be read; remove it (ampoule rm --force web)", "web-2"])?;
    if fleet.say(&["stop", "web"])?.status == 0 {
        bail!("it stopped what nothing is known of");
    }
    fleet.say(&["rm", "--force", "web"])?.with_status(0)?;
    ask(&fleet, "web-2")
}

fn fleet_boot() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
