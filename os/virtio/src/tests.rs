//! The drivers against the device half of the ring, on the host: a device whose registers are a struct, and which is
//! served whenever it is kicked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::console::Console;
use crate::entropy::Entropy;
use crate::host_sockets::HostSockets;
use crate::net::{Net, WANTED};
use crate::platform::ON_KICK;
use crate::queue::Doorbell;
use crate::transport::registers::{Placed, Registers, open};
use crate::transport::{Config, Opened, Wanted};
use abi::hostnet::{Address, Event, EventHeader, Request, Response, SendHeader, SendStatus};
use abi::ring::{Areas, Buffer, Chain, Device};
use device::{Console as _, Entropy as _, Frames as _, HostSockets as _, Incoming, Input, Offload, Sent, Stream};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;

/// The far side of a device.
#[derive(Default)]
struct Far {
    offered: u64,
    accepted: u64,
    status: u8,
    config: Vec<u8>,
    queues: Vec<Device>,
    kicks: Vec<usize>,
}

#[derive(Clone)]
struct Handle(Rc<RefCell<Far>>);

impl Registers for Handle {
    fn status(&self) -> u8 {
        self.0.borrow().status
    }

    fn set_status(&mut self, status: u8) {
        self.0.borrow_mut().status = status;
    }

    fn offered(&mut self, word: u32) -> u32 {
        (self.0.borrow().offered >> (32 * word)) as u32
    }

    fn accept(&mut self, word: u32, features: u32) {
        self.0.borrow_mut().accepted |= u64::from(features) << (32 * word);
    }

    fn select(&mut self, _queue: u16) -> u16 {
        300
    }

    fn enable(&mut self, _queue: u16, placed: &Placed) -> Doorbell {
        let at = |address: abi::address::BusAddr| address.0 as *mut u8;
        // SAFETY: the driver has just laid the ring out there, and bus addresses are addresses on the host.
        let areas =
            unsafe { Areas::new(placed.size, at(placed.descriptors), at(placed.available), at(placed.used)) }.unwrap();
        let mut far = self.0.borrow_mut();
        let event_idx = far.accepted & EVENT_IDX != 0;
        far.queues.push(Device::new(areas, event_idx));
        Doorbell::Gate { device: 0 }
    }

    fn config(&self) -> Config {
        let far = self.0.borrow();
        Config::read(|i| far.config.get(i).copied().unwrap_or(0))
    }
}

fn device(offered: u64, wanted: &Wanted, config: &[u8]) -> (Handle, Opened) {
    let far = Far { offered: offered | VERSION_1, config: config.to_vec(), ..Far::default() };
    let handle = Handle(Rc::new(RefCell::new(far)));
    let opened = open(handle.clone(), wanted).unwrap();
    assert_eq!(handle.status(), 15, "acknowledged, driven, features and driver OK");
    (handle, opened)
}

fn wanted(queue_sizes: &'static [u16]) -> Wanted {
    Wanted { name: "test", features: 0, together: 0, queue_sizes }
}

/// Has `serve` done for each queue when any is kicked.
fn on_kick(handle: &Handle, mut serve: impl FnMut(&mut Far, usize) + 'static) {
    let handle = handle.clone();
    ON_KICK.with(|kick| {
        *kick.borrow_mut() = Some(Box::new(move |_, queue| {
            let mut far = handle.0.borrow_mut();
            if queue < far.queues.len() {
                far.kicks.push(queue);
            }
            for queue in 0..far.queues.len() {
                serve(&mut far, queue);
            }
        }));
    });
}

fn bytes(buffer: &Buffer) -> &'static mut [u8] {
    // SAFETY: a buffer of the driver's, which it leaves alone while the device has it; drivers are leaked in tests.
    unsafe { std::slice::from_raw_parts_mut(buffer.address.0 as *mut u8, buffer.length as usize) }
}

fn read(chain: &Chain) -> Vec<u8> {
    chain.readable().iter().flat_map(|b| bytes(b).to_vec()).collect()
}

/// Fills the next buffer of a queue; false if none is posted.
fn fill(far: &mut Far, queue: usize, content: &[u8]) -> bool {
    let Some(chain) = far.queues[queue].take().unwrap() else { return false };
    bytes(&chain.writable()[0])[..content.len()].copy_from_slice(content);
    far.queues[queue].complete(chain.head(), content.len() as u32);
    far.queues[queue].publish();
    true
}

#[test]
fn console_output_keeps_its_order_and_waits_for_room() {
    let (handle, opened) = device(EVENT_IDX, &wanted(&[16, 16, 16]), &[]);
    let console = Box::leak(Box::new(Console::new(opened, true, false).unwrap()));
    let long: Vec<u8> = (0..40_000u32).map(|i| i as u8).collect();
    let first = console.write(Stream::Output, &long);
    assert_eq!(first, 4 * 4096, "as much as there are buffers");
    assert_eq!(console.write(Stream::Output, &long[first..]), 0);
    assert_eq!(console.write(Stream::Error, b"oh"), 2);
    let seen = Rc::new(RefCell::new([vec![], vec![], vec![]]));
    let sink = seen.clone();
    on_kick(&handle, move |far, queue| {
        while queue != 0
            && let Some(chain) = far.queues[queue].take().unwrap()
        {
            sink.borrow_mut()[queue].extend(read(&chain));
            far.queues[queue].complete(chain.head(), 0);
            far.queues[queue].publish();
        }
    });
    let mut at = first;
    for _ in 0..100 {
        if at == long.len() {
            break;
        }
        console.flush();
        console.poll();
        at += console.write(Stream::Output, &long[at..]);
    }
    console.flush();
    assert_eq!(seen.borrow()[1], long);
    assert_eq!(seen.borrow()[2], b"oh");
}

#[test]
fn console_output_is_out_at_once_where_kicks_are_cheap() {
    let (handle, opened) = device(EVENT_IDX, &wanted(&[16, 16, 16]), &[]);
    let console = Box::leak(Box::new(Console::new(opened, true, true).unwrap()));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let sink = seen.clone();
    on_kick(&handle, move |far, queue| {
        while queue != 0
            && let Some(chain) = far.queues[queue].take().unwrap()
        {
            sink.borrow_mut().extend(read(&chain));
            far.queues[queue].complete(chain.head(), 0);
            far.queues[queue].publish();
        }
    });
    for line in 0..100 {
        assert_eq!(console.write(Stream::Output, b"line\n"), 5);
        assert_eq!(seen.borrow().len(), 5 * (line + 1));
    }
}

#[test]
fn input_without_an_end_of_its_own_ends_after_as_many_bytes_as_the_far_side_says() {
    let (handle, opened) = device(EVENT_IDX, &wanted(&[16, 16]), &[]);
    let console = Box::leak(Box::new(Console::new(opened, false, false).unwrap()));
    let mut buffer = [0; 8];
    assert_eq!(console.read(&mut buffer), Input::Empty);
    assert!(fill(&mut handle.0.borrow_mut(), 0, b"typed"));
    assert!(console.poll());
    crate::platform::INPUT_END.set(Some(7));
    assert!(!console.poll(), "two bytes are on their way");
    assert_eq!(console.read(&mut buffer), Input::Bytes(5));
    assert_eq!(console.read(&mut buffer), Input::Empty);
    assert!(fill(&mut handle.0.borrow_mut(), 0, b"up"));
    assert_eq!(console.read(&mut buffer), Input::Bytes(2));
    assert_eq!(console.read(&mut buffer), Input::End);
}

#[test]
fn console_input_is_asked_for_by_reading_and_ends() {
    let (handle, opened) = device(EVENT_IDX, &wanted(&[16, 16, 16]), &[]);
    let console = Box::leak(Box::new(Console::new(opened, true, false).unwrap()));
    assert!(!fill(&mut handle.0.borrow_mut(), 0, b"x"), "nothing is posted before the first read");
    let mut buffer = [0; 4];
    assert_eq!(console.read(&mut buffer), Input::Empty);
    console.poll();
    on_kick(&handle, |_, _| {});
    assert!(!console.arm());
    assert!(fill(&mut handle.0.borrow_mut(), 0, b"typed"));
    assert!(handle.0.borrow_mut().queues[0].notify_needed(), "armed");
    assert!(console.poll());
    assert_eq!(console.read(&mut buffer), Input::Bytes(4));
    assert!(!console.poll() && !console.arm(), "what is left is no news");
    console.poll();
    assert_eq!(console.read(&mut buffer), Input::Bytes(1));
    assert!(fill(&mut handle.0.borrow_mut(), 0, b""));
    assert!(!handle.0.borrow_mut().queues[0].notify_needed(), "not armed");
    assert_eq!(console.read(&mut buffer), Input::End);
    assert_eq!(console.read(&mut buffer), Input::End);
}

#[test]
fn frames_arrive_leave_and_are_kicked_once() {
    let offered = EVENT_IDX | 1 | 1 << 5;
    let (handle, opened) = device(offered, &WANTED, &[2, 1, 1, 1, 1, 1]);
    let net = Box::leak(Box::new(Net::new(opened, 0).unwrap()));
    assert_eq!(net.address(), [2, 1, 1, 1, 1, 1]);
    assert!(net.capabilities().transmit_checksums);
    on_kick(&handle, |_, _| {});
    for round in 0..1000u32 {
        for part in 0..5u8 {
            let ok = net.transmit(60, &mut |frame| {
                frame.fill(part);
                (part == 2).then_some(Offload { start: 34, offset: 16, cut: 0 })
            });
            assert!(ok);
        }
        handle.0.borrow_mut().queues[1].enable_kicks().unwrap();
        let before = handle.0.borrow().kicks.len();
        net.flush();
        let mut far = handle.0.borrow_mut();
        assert_eq!(far.kicks.len(), before + 1, "one for five frames");
        for part in 0..5u8 {
            let chain = far.queues[1].take().unwrap().expect("a frame");
            let sent = read(&chain);
            assert_eq!(sent.len(), 72);
            assert!(sent[12..].iter().all(|b| *b == part));
            let header: &[u8] = if part == 2 { &[1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0] } else { &[0; 12] };
            assert_eq!(&sent[..12], header);
            far.queues[1].complete(chain.head(), 0);
            far.queues[1].publish();
        }
        let mut arrived = vec![u8::from(round % 2 == 1) * 2];
        arrived.extend([0; 11]);
        arrived.extend(round.to_le_bytes());
        assert!(fill(&mut far, 0, &arrived));
        drop(far);
        let mut got = None;
        assert!(net.receive(&mut |frame, checked| got = Some((frame.to_vec(), checked))));
        assert_eq!(got, Some((round.to_le_bytes().to_vec(), round % 2 == 1)));
        assert!(!net.receive(&mut |_, _| unreachable!()));
    }
}

#[test]
fn a_full_transmit_queue_refuses_and_recovers() {
    let (handle, opened) = device(EVENT_IDX, &WANTED, &[]);
    let net = Box::leak(Box::new(Net::new(opened, 3).unwrap()));
    on_kick(&handle, |_, _| {});
    let mut sent = 0;
    while net.room() {
        assert!(net.transmit(60, &mut |_| None));
        sent += 1;
    }
    assert_eq!(sent, 128);
    assert!(!net.transmit(60, &mut |_| unreachable!()));
    assert!(!net.arm(true));
    net.flush();
    let mut far = handle.0.borrow_mut();
    let chain = far.queues[1].take().unwrap().unwrap();
    far.queues[1].complete(chain.head(), 0);
    far.queues[1].publish();
    assert!(far.queues[1].notify_needed());
    drop(far);
    assert!(net.arm(true), "there is room already");
    assert!(net.transmit(60, &mut |_| None));
}

/// All that a device of QEMU's offers: checksums, long segments both ways, several buffers a frame.
const LONG: u64 = 1 | 1 << 1 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 12 | 1 << 15;

#[test]
fn frames_of_several_buffers_arrive_in_one_piece() {
    let (handle, opened) = device(EVENT_IDX | LONG, &WANTED, &[2, 1, 1, 1, 1, 1]);
    let net = Box::leak(Box::new(Net::new(opened, 0).unwrap()));
    on_kick(&handle, |_, _| {});
    // More than the ring has, so that some go on at its start.
    for round in 0..500usize {
        let length = 12 + 1 + (round * 1777) % 60_000;
        let content: Vec<u8> = (0..length).map(|at| (at ^ round) as u8).collect();
        let parts = length.div_ceil(4096);
        let mut far = handle.0.borrow_mut();
        for (number, part) in content.chunks(4096).enumerate() {
            let chain = far.queues[0].take().unwrap().expect("a buffer");
            let buffer = bytes(&chain.writable()[0]);
            buffer[..part.len()].copy_from_slice(part);
            if number == 0 {
                buffer[..12].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, parts as u8, 0]);
            }
            far.queues[0].complete(chain.head(), part.len() as u32);
        }
        far.queues[0].publish();
        drop(far);
        let mut got = None;
        assert!(net.receive(&mut |frame, checked| got = Some((frame.to_vec(), checked))));
        assert!(got == Some((content[12..].to_vec(), true)), "round {round}, {length} bytes");
        assert!(!net.receive(&mut |_, _| unreachable!()));
        net.flush();
    }
}

#[test]
fn a_frame_that_is_not_all_there_is_lost_and_its_buffers_are_not() {
    let (handle, opened) = device(EVENT_IDX | LONG, &WANTED, &[2, 1, 1, 1, 1, 1]);
    let net = Box::leak(Box::new(Net::new(opened, 0).unwrap()));
    on_kick(&handle, |_, _| {});
    for round in 0..600u32 {
        let mut far = handle.0.borrow_mut();
        // It says that it has more parts than there are, or than any frame has.
        let parts = if round % 2 == 0 { [5, 0] } else { [0xff, 0xff] };
        let mut content = [7; 100];
        content[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, parts[0], parts[1]]);
        assert!(fill(&mut far, 0, &content), "a buffer is there in round {round}");
        drop(far);
        assert!(net.receive(&mut |_, _| unreachable!()));
        net.flush();
    }
}

#[test]
fn long_segments_are_left_to_the_device() {
    let (handle, opened) = device(EVENT_IDX | LONG, &WANTED, &[2, 1, 1, 1, 1, 1]);
    let net = Box::leak(Box::new(Net::new(opened, 0).unwrap()));
    on_kick(&handle, |_, _| {});
    let most = net.capabilities().cut_max;
    assert!(most > 60_000);
    assert!(!net.transmit(most + 1, &mut |_| unreachable!()));
    let mut sent = 0;
    while net.room() {
        let queued = net.transmit(most, &mut |frame| {
            frame.fill(9);
            // IPv4, and a TCP header of 32 bytes.
            frame[12..14].copy_from_slice(&[8, 0]);
            frame[34 + 12] = 0x80;
            Some(Offload { start: 34, offset: 16, cut: 1448 })
        });
        assert!(queued);
        sent += 1;
    }
    assert_eq!(sent, 16);
    assert!(!net.arm(true) && !net.transmit(most, &mut |_| unreachable!()));
    assert!(net.transmit(60, &mut |_| None), "short ones have buffers of their own");
    net.flush();
    let mut far = handle.0.borrow_mut();
    let chain = far.queues[1].take().unwrap().unwrap();
    let frame = read(&chain);
    assert_eq!(frame.len(), 12 + most);
    // `struct virtio_net_hdr`: needs a checksum, GSO_TCPV4, header length, segment size, start, offset.
    assert_eq!(frame[..12], [1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0]);
    far.queues[1].complete(chain.head(), 0);
    far.queues[1].publish();
    drop(far);
    assert!(net.arm(true) && net.transmit(most, &mut |_| None));
}

#[test]
fn a_device_without_several_buffers_a_frame_sends_no_long_ones() {
    let (handle, _) = device(EVENT_IDX | LONG & !(1 << 15), &WANTED, &[]);
    assert_eq!(handle.0.borrow().accepted & (1 << 7 | 1 << 8), 0);
    let (handle, _) = device(EVENT_IDX | LONG, &WANTED, &[]);
    assert_eq!(handle.0.borrow().accepted & LONG, LONG);
}

#[test]
fn entropy_is_fresh_and_runs_dry_without_hanging() {
    let (handle, opened) = device(EVENT_IDX, &wanted(&[1]), &[]);
    let entropy = Box::leak(Box::new(Entropy::new(opened).unwrap()));
    let mut bytes = [0; 16];
    assert!(!entropy.fill(&mut bytes));
    let mut next = 0u8;
    on_kick(&handle, move |far, queue| {
        let block: Vec<u8> = (0..64).map(|i| i + next).collect();
        next = next.wrapping_add(64);
        fill(far, queue, &block);
    });
    let mut seen = Vec::new();
    for _ in 0..12 {
        assert!(entropy.fill(&mut bytes));
        seen.extend(bytes);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 192, "no byte of the far side's is given twice");
}

/// A host that answers requests, takes three bytes of every send, and echoes them as data.
fn host(handle: &Handle) {
    let mut echoes: VecDeque<Vec<u8>> = VecDeque::new();
    on_kick(handle, move |far, queue| match queue {
        0 => {
            while let Some(chain) = far.queues[0].take().unwrap() {
                let request = read(&chain);
                let operation = request[0];
                let mut response = vec![0; size_of::<Response>()];
                if operation == 10 {
                    response[32] = 2;
                    for last in [1u8, 2] {
                        let mut address = [0; size_of::<Address>()];
                        address[0] = 4;
                        address[8..12].copy_from_slice(&[192, 0, 2, last]);
                        response.extend(address);
                    }
                } else {
                    response[4] = 77;
                }
                bytes(&chain.writable()[0])[..response.len()].copy_from_slice(&response);
                far.queues[0].complete(chain.head(), response.len() as u32);
            }
            far.queues[0].publish();
        }
        1 => {
            while let Some(chain) = far.queues[1].take().unwrap() {
                let sent = read(&chain);
                echoes.push_back(sent[size_of::<SendHeader>()..].iter().copied().take(3).collect());
                bytes(&chain.writable()[0]).copy_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0]);
                far.queues[1].complete(chain.head(), size_of::<SendStatus>() as u32);
            }
            far.queues[1].publish();
        }
        _ => {
            while let Some(echo) = echoes.pop_front() {
                let mut event = vec![0; size_of::<EventHeader>()];
                event[0] = Event::Data as u8;
                event[8] = echo.len() as u8;
                event.extend(&echo);
                assert!(fill(far, 2, &event));
            }
        }
    });
}

#[test]
fn host_sockets_ask_send_and_hear() {
    for cheap in [false, true] {
        let (handle, opened) = device(EVENT_IDX, &wanted(&[64, 64, 256]), &[]);
        let sockets = Box::leak(Box::new(HostSockets::new(opened, cheap).unwrap()));
        host(&handle);
        let response = sockets.control(&Request { operation: 1, ..Request::default() });
        assert_eq!((response.status, response.socket), (0, 77));
        assert!(sockets.resolve("example.org", 5));
        let header = SendHeader { socket: 9, kind: 1, length: 0, ..SendHeader::default() };
        for _ in 0..100 {
            let sent = sockets.send(&header, b"hello");
            if !cheap {
                assert!(matches!(sent, Sent::Queued));
                crate::platform::kick(0, 1);
            } else {
                assert!(matches!(sent, Sent::Done(SendStatus { taken: 3, status: 0 })));
            }
            let mut heard: Vec<u8> = Vec::new();
            let mut done = 0;
            sockets.poll(&mut |incoming| match incoming {
                Incoming::Event(_, data) => heard.extend(data),
                Incoming::Sent(socket, kind, status) => {
                    assert_eq!((socket, kind, status.taken), (9, 1, 3));
                    done += 1;
                }
                Incoming::Resolved(token, status, addresses) => {
                    assert_eq!((token, status, addresses.len()), (5, 0, 2));
                    assert_eq!(addresses[1].bytes[..4], [192, 0, 2, 2]);
                }
            });
            assert_eq!(heard, b"hel");
            assert_eq!(done, usize::from(!cheap));
        }
        assert!(!sockets.poll(&mut |_| unreachable!()));
    }
}

#[test]
#[should_panic(expected = "hostnet: a buffer was returned")]
fn a_far_side_that_breaks_its_ring_is_reported() {
    let (handle, opened) = device(EVENT_IDX, &Wanted { name: "hostnet", ..wanted(&[64, 64, 256]) }, &[]);
    let sockets = Box::leak(Box::new(HostSockets::new(opened, false).unwrap()));
    let mut far = handle.0.borrow_mut();
    // Returned without having been there.
    far.queues[1].complete(63, 0);
    far.queues[1].publish();
    drop(far);
    sockets.poll(&mut |_| {});
}

#[test]
fn mmio_registers_stand_where_the_specification_says() {
    #[repr(C, align(16))]
    struct Block([u32; 128]);
    let mut block = Block([0; 128]);
    block.0[0] = 0x7472_6976;
    block.0[1] = 2;
    // The same 32 bits in both words: bit 0 is CSUM in the one and VERSION_1 in the other.
    block.0[0x10 / 4] = 1;
    block.0[0x34 / 4] = 64;
    block.0[0x100 / 4] = 0x0403_0201;
    let block = Box::leak(Box::new(block));
    let description = abi::boot::Device {
        transport: abi::boot::TRANSPORT_MMIO,
        registers: abi::address::GuestAddr(block.0.as_ptr() as u64),
        ..Default::default()
    };
    let opened = crate::transport::open(0, &description, &WANTED).expect("a device");
    assert_eq!(opened.features, VERSION_1 | 1);
    assert_eq!(opened.config.array(0), [1, 2, 3, 4]);
    assert!(opened.queues.iter().all(|q| q.size() == 64));
    // SAFETY: the block is alive, and written through the address that was given away.
    let word = |offset: usize| unsafe { (block.0.as_ptr()).add(offset / 4).read_volatile() };
    assert_eq!((word(0x38), word(0x44), word(0x70)), (64, 1, 15));
    assert_eq!(u64::from(word(0x80)) | u64::from(word(0x84)) << 32 & 15, u64::from(word(0x80)));
    let mut net = opened.queues.into_iter();
    let mut queue = net.nth(1).unwrap();
    assert!(queue.add(0, &[Buffer::readable(abi::address::BusAddr(1), 1)]));
    queue.kick();
    assert_eq!(word(0x50), 1, "the queue's number is the notification");
}
