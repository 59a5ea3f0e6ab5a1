//! `run --pcap`: what went over the network is in the file, as readers of such files that others wrote see it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::{Machine, PATIENCE};
use ampoule_tests::{ports, tool};
use anyhow::{Context, Result, bail, ensure};
use etherparse::{NetSlice, SlicedPacket, TcpSlice, TransportSlice};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use rustix::process::Signal;

use crate::http::Client;
use crate::{everywhere, on};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = everywhere("a capture of HTTP", http)
        .chain(everywhere("a capture of datagrams", datagrams))
        .chain(everywhere("a capture that cannot be written", unwritable))
        .collect();
    cases.push(on(Backend::Process, "a capture without a network", nothing));
    cases
}

fn http(backend: Backend) -> Result<()> {
    let (port, image) = (ports::free_tcp()?, tool::image("examples/web")?);
    let file = image.with_file_name(format!("http-{backend}.pcap"));
    let path = file.to_str().context("the project's folder has a name of UTF-8")?;
    let publish = format!("{port}:8080");
    let mut machine = Machine::start(&image, backend, &["--publish", &publish, "--pcap", path])?;
    machine.expect("serving on")?;
    {
        let mut client = Client::connect(port)?;
        ensure!(client.get("/healthz")?.status == 200);
        ensure!(client.get("/nowhere")?.status == 404);
    }
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(0)?;
    match backend.has_frames() {
        true => check_frames(&file, "GET /healthz HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n"),
        false => check_connection(&file),
    }
}

/// The records of a file, each a packet behind its link's header.
fn records(file: &Path, link: DataLink) -> Result<Vec<Vec<u8>>> {
    let mut reader = PcapReader::new(File::open(file)?).context("it is no capture")?;
    ensure!(reader.header().datalink == link, "its packets begin with {:?}", reader.header().datalink);
    let mut records = Vec::new();
    let mut last = None;
    while let Some(record) = reader.next_packet() {
        let record = record.context("a record is damaged")?;
        ensure!(last.is_none_or(|last| last <= record.timestamp), "its times run backwards");
        last = Some(record.timestamp);
        records.push(record.data.into_owned());
    }
    Ok(records)
}

/// Both texts are in frames of the machine's TCP port 8080, each in its direction.
pub(crate) fn check_frames(file: &Path, request: &str, answer: &str) -> Result<()> {
    let mut found = [false; 2];
    for record in records(file, DataLink::ETHERNET)? {
        let packet = SlicedPacket::from_ethernet(&record)?;
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { continue };
        let has = |text: &str| String::from_utf8_lossy(tcp.payload()).contains(text);
        found[0] |= tcp.destination_port() == 8080 && has(request);
        found[1] |= tcp.source_port() == 8080 && has(answer);
    }
    ensure!(found == [true; 2], "request and answer in the frames: {found:?}");
    Ok(())
}

/// One connection of made-up packets: right checksums, a handshake, every byte once and in order, an end on both sides.
fn check_connection(file: &Path) -> Result<()> {
    // What each side, by its port, has sent: the next sequence number, and the bytes.
    let mut sides: BTreeMap<u16, (u32, Vec<u8>)> = BTreeMap::new();
    let (mut starts, mut ends) = (0, 0);
    for record in records(file, DataLink::RAW)? {
        let packet = SlicedPacket::from_ip(&record)?;
        let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) = (&packet.net, &packet.transport) else {
            bail!("not a TCP segment over IPv4: {packet:?}")
        };
        let header = ip.header();
        ensure!(header.to_header().calc_header_checksum() == header.header_checksum(), "a wrong IP checksum");
        let expected = tcp.calc_checksum_ipv4(header.source(), header.destination())?;
        ensure!(tcp.checksum() == expected, "a wrong TCP checksum");
        ensure!(tcp.syn() || tcp.ack(), "it acknowledges nothing");
        if tcp.ack() {
            let other = sides.get(&tcp.destination_port()).map_or(0, |(next, _)| *next);
            ensure!(tcp.acknowledgment_number() == other, "it acknowledges what was not sent, or not all that was");
        }
        (starts, ends) = (starts + u32::from(tcp.syn()), ends + u32::from(tcp.fin()));
        take(&mut sides, tcp)?;
    }
    ensure!((starts, ends) == (2, 2), "{starts} of two beginnings, {ends} of two ends");
    let (_, answers) = sides.remove(&8080).context("nothing came from the machine's port")?;
    let (_, (_, requests)) = sides.pop_first().context("nothing came from the client")?;
    let (requests, answers) = (String::from_utf8(requests)?, String::from_utf8(answers)?);
    let sent = ["/healthz", "/nowhere"].map(|path| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).concat();
    ensure!(requests == sent, "the requests are {requests:?}");
    let statuses: Vec<&str> = answers.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    ensure!(statuses == ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"], "the answers are {answers:?}");
    Ok(())
}

fn take(sides: &mut BTreeMap<u16, (u32, Vec<u8>)>, tcp: &TcpSlice<'_>) -> Result<()> {
    let (next, bytes) = sides.entry(tcp.source_port()).or_default();
    ensure!(tcp.sequence_number() == *next, "segment {} where {next} was due", tcp.sequence_number());
    *next += tcp.payload().len() as u32 + u32::from(tcp.syn()) + u32::from(tcp.fin());
    bytes.extend_from_slice(tcp.payload());
    Ok(())
}

/// Each datagram is in the capture, each way, with the right addresses' ports.
fn datagrams(backend: Backend) -> Result<()> {
    let (port, image) = (ports::free_udp()?, tool::image("examples/udp")?);
    let file = image.with_file_name(format!("udp-{backend}.pcap"));
    let path = file.to_str().context("the project's folder has a name of UTF-8")?;
    let publish = format!("{port}:7001/udp");
    let mut machine = Machine::start(&image, backend, &["--publish", &publish, "--pcap", path])?;
    machine.expect("echoing on")?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"is it written down?", (Ipv4Addr::LOCALHOST, port))?;
    let length = socket.recv(&mut [0; 100])?;
    machine.signal(Signal::TERM)?;
    machine.end()?;
    let link = if backend.has_frames() { DataLink::ETHERNET } else { DataLink::RAW };
    let mut found = [0; 2];
    for record in records(&file, link)? {
        let packet =
            if backend.has_frames() { SlicedPacket::from_ethernet(&record) } else { SlicedPacket::from_ip(&record) }?;
        let Some(TransportSlice::Udp(udp)) = &packet.transport else { continue };
        found[0] += u32::from(udp.destination_port() == 7001 && udp.payload() == b"is it written down?");
        found[1] += u32::from(udp.source_port() == 7001 && udp.payload().len() == length);
    }
    ensure!(found == [1; 2], "the datagram and its answer are there so many times: {found:?}");
    Ok(())
}

/// Said before the machine starts.
fn unwritable(backend: Backend) -> Result<()> {
    let image = tool::image("examples/web")?;
    for (path, why) in
        [(image.join("x.pcap").display().to_string(), "Not a directory"), ("/dev/full".into(), "No space left")]
    {
        let end = Machine::start(&image, backend, &["--publish", "0:8080", "--pcap", &path])?.end()?.with_status(2)?;
        ensure!(end.output.is_empty(), "it has run: {}", end.output);
        end.with_text(&["error: cannot write what goes over the network to ", why])?;
    }
    Ok(())
}

fn nothing(backend: Backend) -> Result<()> {
    let image = tool::image("examples/hello")?;
    let file = image.with_file_name("nothing.pcap");
    _ = fs::remove_file(&file);
    let path = file.to_str().context("the project's folder has a name of UTF-8")?;
    let end = Machine::start(&image, backend, &["--pcap", path])?.end()?.with_status(2)?;
    ensure!(end.output.is_empty() && !file.exists(), "it has run: {}", end.output);
    end.with_text(&["has no network", "net.listen"]).map(drop)
}
