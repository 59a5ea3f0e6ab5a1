//! `bench-client`: the side of a server that asks, as a program of its own so that it can run inside a network namespace.
#![forbid(unsafe_code)]

use ampoule_bench::ask::{self, Kind};
use ampoule_bench::bulk::{self, Purpose};
use ampoule_bench::{answer, datagrams, load};
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

const USAGE: &str = "\
usage: bench-client http ADDRESS:PORT CONNECTIONS SECONDS   requests a second, latencies (50, 90, 99, 99.9 %) in µs, answers
       bench-client bulk ADDRESS:PORT up|down|echo SECONDS  MB/s, or µs there and back
       bench-client udp ADDRESS:PORT WINDOW SECONDS         datagrams a second, latencies (50, 99 %) in µs, lost of a thousand
       bench-client wait http|tcp|udp ADDRESS:PORT SECONDS  until it answers, at most so long
       bench-client requests ADDRESS:PORT COUNT             so many, half of them on connections of their own
       bench-client answer ADDRESS:PORT COMMAND...          ms from the command's start to its first HTTP answer";
const WARM_UP: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["http", server, connections, time] => {
            let report = load::run(server.parse()?, connections.parse()?, WARM_UP, seconds(time)?)?;
            let [p50, p90, p99, p999] = report.latencies_us;
            println!("{:.0} {p50:.1} {p90:.1} {p99:.1} {p999:.1} {}", report.rate, report.answers);
        }
        ["bulk", server, purpose, time] => {
            let purpose = Purpose::of(purpose).context(USAGE)?;
            println!("{:.3}", bulk::run(server.parse()?, purpose, seconds(time)?)?);
        }
        ["udp", server, window, time] => {
            let report = datagrams::run(server.parse()?, window.parse()?, WARM_UP, seconds(time)?)?;
            let [p50, p99] = report.latencies_us;
            println!("{:.0} {p50:.1} {p99:.1} {:.3}", report.rate, report.lost_of_thousand);
        }
        ["wait", kind, server, time] => ask::wait(Kind::of(kind).context(USAGE)?, server.parse()?, seconds(time)?)?,
        ["requests", server, count] => {
            let (server, count): (SocketAddr, usize) = (server.parse()?, count.parse()?);
            (0..count / 2).try_for_each(|_| ask::get(server))?;
            let report = load::run(server, 32, Duration::ZERO, Duration::from_secs(1))?;
            println!("{}", report.answers);
        }
        ["answer", server, program, arguments @ ..] => {
            println!("{:.3}", answer::measure(server.parse()?, Command::new(program).args(arguments))?);
        }
        _ => bail!("{USAGE}"),
    }
    Ok(())
}

fn seconds(word: &str) -> Result<Duration> {
    Ok(Duration::from_secs(word.parse().with_context(|| format!("`{word}` is no number of seconds"))?))
}
