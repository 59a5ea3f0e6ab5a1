//! No memory is left, then a little more and a little more: each call that opens or makes something succeeds or gives the
//! errno for it. None ends the machine, none hangs, and in the end, with memory again, all succeed.
#[cfg(feature = "line")]
use ampoule as _;
use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{c_int, c_void};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

unsafe extern "C" {
    fn epoll_create1(flags: c_int) -> c_int;
    fn eventfd(value: u32, flags: c_int) -> c_int;
    fn dup(fd: c_int) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn pthread_create(
        out: *mut usize,
        attributes: *const c_void,
        start: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
    fn pthread_join(thread: usize, result: *mut *mut c_void) -> c_int;
}

/// The first are whole pages, which go back to where files get theirs; the others stay the heap's.
const SIZES: [usize; 6] = [131_072, 4_080, 1_008, 240, 48, 16];
/// How many of the large blocks are taken apart.
const SMALL: usize = 3;
/// As a text it would be looked up, and std would want memory for the answer.
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const ENOSPC: i32 = 28;
const ENOBUFS: i32 = 105;

/// All of the memory, as a list whose links are in the blocks.
struct Hoard(*mut Block);

struct Block {
    next: *mut Block,
    layout: Layout,
}

impl Hoard {
    /// Takes whatever there is: large pieces first, and the place of the last of these in smaller ones.
    fn fill(&mut self) {
        self.fill_with(&SIZES);
        self.give_large(SMALL);
        self.fill_with(&SIZES[1..]);
    }

    fn fill_with(&mut self, sizes: &[usize]) {
        for size in sizes {
            let layout = Layout::from_size_align((*size).max(size_of::<Block>()), 16).unwrap();
            loop {
                // SAFETY: not of size 0.
                let block = unsafe { alloc(layout) }.cast::<Block>();
                if block.is_null() {
                    break;
                }
                // SAFETY: it is long enough.
                unsafe { block.write(Block { next: self.0, layout }) };
                self.0 = block;
            }
        }
    }

    /// Gives large blocks back, and whatever is in front of them.
    fn give_large(&mut self, mut count: usize) {
        while count > 0 {
            // SAFETY: as in `give`.
            let large = !self.0.is_null() && unsafe { (*self.0).layout.size() >= SIZES[0] };
            count -= usize::from(large);
            assert!(self.give(), "there are large blocks");
        }
    }

    /// Gives back what was taken last; false if there is nothing.
    fn give(&mut self) -> bool {
        let block = self.0;
        if block.is_null() {
            return false;
        }
        // SAFETY: of this list, made by `fill`.
        unsafe {
            self.0 = (*block).next;
            dealloc(block.cast(), (*block).layout);
        }
        true
    }
}

fn number(result: c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor of our own.
    unsafe { close(result) };
    Ok(())
}

extern "C" fn nothing(argument: *mut c_void) -> *mut c_void {
    argument
}

fn thread() -> io::Result<()> {
    let mut thread = 0;
    // SAFETY: the function wants nothing of its argument.
    match unsafe { pthread_create(&mut thread, std::ptr::null(), nothing, std::ptr::null_mut()) } {
        // SAFETY: made just now.
        0 => match unsafe { pthread_join(thread, std::ptr::null_mut()) } {
            0 => Ok(()),
            error => panic!("joining gave {error}"),
        },
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

fn file() -> io::Result<()> {
    let result = File::create("/tmp/scarce").and_then(|mut file| file.write_all(&[7; 5000]));
    let _ = fs::remove_file("/tmp/scarce");
    result
}

fn folder() -> io::Result<()> {
    let result = fs::create_dir("/tmp/folder").and_then(|()| fs::rename("/tmp/folder", "/tmp/renamed"));
    let _ = (fs::remove_dir("/tmp/folder"), fs::remove_dir("/tmp/renamed"));
    result
}

fn pipe() -> io::Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    writer.write_all(b"a few bytes")?;
    let mut bytes = [0; 11];
    reader.read_exact(&mut bytes)
}

fn loopback() -> io::Result<()> {
    let listener = TcpListener::bind(HERE)?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(&[1; 3000])?;
    let mut bytes = [0; 3000];
    server.read_exact(&mut bytes)
}

/// The calls, by name.
const CALLS: [(&str, fn() -> io::Result<()>); 12] = [
    ("open /dev/null", || File::open("/dev/null").map(drop)),
    ("a file in /tmp", file),
    ("a folder in /tmp", folder),
    ("a folder's entries", || fs::read_dir("/tmp").map(drop)),
    ("pipe", pipe),
    ("socketpair", || UnixStream::pair().map(drop)),
    // SAFETY: plain calls.
    ("epoll_create1", || number(unsafe { epoll_create1(0) })),
    ("eventfd", || number(unsafe { eventfd(0, 0) })),
    ("dup", || number(unsafe { dup(1) })),
    ("a UDP socket", || UdpSocket::bind(HERE).map(drop)),
    ("a connection to itself", loopback),
    ("pthread_create", thread),
];

fn main() {
    let try_all = || CALLS.map(|(_, call)| call().map_err(|e| e.raw_os_error().unwrap_or(-1)));
    for ((name, _), result) in CALLS.iter().zip(try_all()) {
        assert_eq!(result, Ok(()), "{name}, with plenty of memory");
    }
    let (mut hoard, mut refused, mut level) = (Hoard(std::ptr::null_mut()), [0u32; CALLS.len()], 0);
    hoard.fill();
    loop {
        for (index, result) in try_all().into_iter().enumerate() {
            match result {
                Ok(()) => {}
                Err(EAGAIN | ENOMEM | ENOSPC | ENOBUFS) => refused[index] += 1,
                Err(other) => {
                    while hoard.give() {}
                    panic!("{}: error {other} at level {level}", CALLS[index].0);
                }
            }
        }
        level += 1;
        // A block at a time where it is tight, then coarser.
        if !(0..if level < 600 { 1 } else { 8 }).all(|_| hoard.give()) {
            break;
        }
    }
    for ((name, _), times) in CALLS.iter().zip(refused) {
        println!("{name}: refused at {times} of {level} levels");
    }
    assert!(refused[0] > 0 && refused[4] > 0 && refused[11] > 0, "memory was never scarce");
    for ((name, _), result) in CALLS.iter().zip(try_all()) {
        assert_eq!(result, Ok(()), "{name}, with memory again");
    }
}
