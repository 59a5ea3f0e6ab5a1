//! The frame server between a driver's rings and a pair of datagram sockets, which keep frames apart as a TAP interface does.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use abi::address::BusAddr;
use abi::ring::{Areas, Buffer, Device, Driver, Layout};
use ampoule_host_device::net::{Net, QUEUE_RECEIVE, QUEUE_TRANSMIT};
use ampoule_host_device::system::{self, EpollEvent};
use ampoule_host_device::{Ram, What};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixDatagram;

unsafe extern "C" {
    fn epoll_create1(flags: i32) -> RawFd;
}

const BASE: u64 = 0x10_0000;
const BUFFER: u32 = 1536;
const TOKEN: u64 = 7;

struct Bench {
    ram: Vec<u8>,
    drivers: [Driver; 2],
    server: Net,
    wire: UnixDatagram,
    _interface: UnixDatagram,
    set: RawFd,
}

impl Bench {
    fn new() -> Self {
        let mut ram = vec![0u8; 64 << 10];
        let areas = || {
            let block = vec![0u128; Layout::of(16).length.div_ceil(16)].leak();
            // SAFETY: leaked, aligned and long enough.
            unsafe { Areas::in_block(16, block.as_mut_ptr().cast()) }.unwrap()
        };
        let areas = [areas(), areas()];
        let (wire, interface) = UnixDatagram::pair().unwrap();
        interface.set_nonblocking(true).unwrap();
        // SAFETY: the RAM is on the heap and lives as long as the server.
        let (memory, set) = unsafe { (Ram::new(BusAddr(BASE), ram.as_mut_ptr(), ram.len() as u64), epoll_create1(0)) };
        let devices = areas.map(|a| Device::new(a, false));
        let server = Net::new(devices, memory, interface.as_raw_fd(), set, TOKEN).unwrap();
        Self { ram, drivers: areas.map(|a| Driver::new(a, false)), server, wire, _interface: interface, set }
    }

    fn offer(&mut self, queue: usize, chain: &[Buffer]) {
        self.drivers[queue].add(chain).unwrap();
        self.drivers[queue].publish();
    }

    fn post(&mut self, number: u64) {
        let address = BusAddr(BASE + number * u64::from(BUFFER));
        self.offer(QUEUE_RECEIVE, &[Buffer::writable(address, BUFFER)]);
    }

    /// Is there an event, and is it the interface's?
    fn event(&mut self) -> bool {
        let mut events = [EpollEvent::default(); 4];
        let count = system::epoll_wait(self.set, &mut events, Some(0));
        let is_one = count == 1 && { events[0].token } == TOKEN;
        if is_one {
            self.server.event();
        }
        is_one
    }

    fn received(&mut self) -> Option<u32> {
        self.drivers[QUEUE_RECEIVE].take_used().unwrap().map(|used| used.length)
    }
}

#[test]
fn frames_pass_both_ways_as_they_are() {
    let mut bench = Bench::new();
    bench.ram[..200].fill(9);
    bench.offer(QUEUE_TRANSMIT, &[Buffer::readable(BusAddr(BASE), 200)]);
    let _ = bench.server.serve().unwrap();
    let mut frame = [0; 2048];
    assert_eq!(bench.wire.recv(&mut frame).unwrap(), 200);
    assert!(frame[..200].iter().all(|b| *b == 9));
    assert!(bench.drivers[QUEUE_TRANSMIT].take_used().unwrap().is_some());
    bench.post(1);
    bench.wire.send(&[5; 1526]).unwrap();
    assert!(bench.event());
    let _ = bench.server.serve().unwrap();
    assert_eq!(bench.received(), Some(1526));
    let start = BUFFER as usize;
    assert!(bench.ram[start..start + 1526].iter().all(|b| *b == 5) && bench.ram[start + 1526] == 0);
}

#[test]
fn frames_wait_for_buffers_and_buffers_for_frames() {
    let mut bench = Bench::new();
    (0..3).for_each(|number| bench.wire.send(&[number; 60]).map(drop).unwrap());
    assert!(bench.event());
    let _ = bench.server.serve().unwrap();
    assert_eq!(bench.received(), None);
    (0..5).for_each(|number| bench.post(number));
    // No new edge: what was there is remembered.
    assert!(!bench.event());
    let _ = bench.server.serve().unwrap();
    assert_eq!([(); 4].map(|()| bench.received()), [Some(60), Some(60), Some(60), None]);
    bench.wire.send(&[3; 61]).unwrap();
    assert!(bench.event());
    let _ = bench.server.serve().unwrap();
    assert_eq!(bench.received(), Some(61));
}

#[test]
fn nonsense_ends_the_machine() {
    let inside = |length| Buffer::readable(BusAddr(BASE), length);
    let transmit: [&[Buffer]; 4] = [
        &[inside(12)],
        &[inside(100), inside(100)],
        &[Buffer::writable(BusAddr(BASE), 100)],
        &[Buffer::readable(BusAddr(u64::MAX - 10), 100)],
    ];
    let receive: [&[Buffer]; 3] = [
        &[Buffer::writable(BusAddr(BASE), 1525)],
        &[inside(1600)],
        &[Buffer::writable(BusAddr(BASE + (64 << 10) - 100), 1600)],
    ];
    let transmit = transmit.map(|chain| (QUEUE_TRANSMIT, chain));
    let receive = receive.map(|chain| (QUEUE_RECEIVE, chain));
    for (queue, chain) in transmit.into_iter().chain(receive) {
        let mut bench = Bench::new();
        bench.wire.send(&[1; 100]).unwrap();
        bench.offer(queue, chain);
        let nonsense = bench.server.serve().expect_err("this makes no sense");
        assert!(nonsense.device == "net" && matches!(nonsense.what, What::Chain | What::Memory(_)), "{nonsense}");
    }
}
