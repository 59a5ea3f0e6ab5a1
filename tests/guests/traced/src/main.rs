//! A known list of things that a program asks of its operating system, for traces of it (`tests/machines/trace.rs`): files,
//! sockets, waits, a thread, a signal, memory, a system call by its instruction, and a call that has not ended when all ends,
//! in whatever way.
#[cfg(feature = "line")]
use ampoule as _;
use std::ffi::c_int;
use std::fs;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const FOLDER: &str = "/tmp/ampoule-traced";
const NOTE: &str = "/tmp/ampoule-traced/note";
const OTHER: &str = "/tmp/ampoule-traced/other";

fn main() -> io::Result<()> {
    files()?;
    sockets()?;
    waits()?;
    let (reader, mut writer) = io::pipe()?;
    thread(reader, &mut writer)?;
    signals();
    memory();
    assert!(by_instruction());
    println!("all of it was done");
    unfinished();
    end(std::env::args().nth(1).as_deref().unwrap_or("exit"))
}

/// Ends, or waits for an end, as the first argument says.
fn end(how: &str) -> ! {
    match how {
        "raise" => {
            // SAFETY: it ends the program.
            unsafe { libc::raise(libc::SIGTERM) };
        }
        "abort" => std::process::abort(),
        "panic" => panic!("as it was asked to"),
        "fault" => {
            // SAFETY: none: nothing is there.
            unsafe { std::ptr::without_provenance::<u8>(8).read_volatile() };
        }
        "wait" => loop {
            thread::park();
        },
        _ => {}
    }
    std::process::exit(0)
}

fn files() -> io::Result<()> {
    _ = fs::remove_dir_all(FOLDER);
    fs::create_dir(FOLDER)?;
    assert_eq!(fs::File::open("/tmp/ampoule-nothing").map_err(|error| error.kind()).err(), Some(ErrorKind::NotFound));
    let mut file = fs::File::options().read(true).write(true).create_new(true).open(NOTE)?;
    file.write_all(b"a \"note\"\n\0\x01")?;
    file.seek(SeekFrom::Start(2))?;
    let mut text = [0; 40];
    assert_eq!(file.read(&mut text)?, 9);
    file.set_len(4)?;
    assert_eq!(file.metadata()?.len(), 4);
    file.sync_all()?;
    drop(file);
    fs::rename(NOTE, OTHER)?;
    assert!(fs::remove_dir(FOLDER).is_err());
    fs::remove_file(OTHER)?;
    fs::remove_dir(FOLDER)
}

fn sockets() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    client.write_all(b"question")?;
    assert_eq!(server.read(&mut [0; 16])?, 8);
    server.shutdown(std::net::Shutdown::Write)?;
    assert_eq!(client.read(&mut [0; 16])?, 0);
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    udp.send_to(b"datagram", udp.local_addr()?)?;
    assert_eq!(udp.recv_from(&mut [0; 16])?.0, 8);
    let (mut one, other) = UnixStream::pair()?;
    one.write_all(b"x")?;
    drop(other);
    assert!(one.write_all(b"nobody hears").is_err());
    Ok(())
}

fn waits() -> io::Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    writer.write_all(b"y")?;
    let mut polled = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: descriptors of our own, and room for what is written.
    unsafe {
        assert_eq!(libc::poll(&raw mut polled, 1, 1000), 1);
        let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
        assert_eq!(libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, reader.as_raw_fd(), &raw mut event), 0);
        assert_eq!(libc::epoll_wait(epoll, &raw mut event, 1, -1), 1);
        assert_eq!(libc::close(epoll), 0);
        let moment = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        assert_eq!(libc::nanosleep(&raw const moment, std::ptr::null_mut()), 0);
        assert_eq!(libc::write(1, std::ptr::null(), 4), -1);
        assert_eq!(libc::close(-1), -1);
    }
    reader.read_exact(&mut [0])
}

fn thread(mut reader: io::PipeReader, writer: &mut io::PipeWriter) -> io::Result<()> {
    let worker = thread::Builder::new().name("worker".into()).spawn(move || reader.read(&mut [0; 8]))?;
    writer.write_all(b"go on")?;
    assert_eq!(worker.join().expect("no panic")?, 5);
    Ok(())
}

static HANDLED: AtomicBool = AtomicBool::new(false);

extern "C" fn handler(_: c_int) {
    HANDLED.store(true, Ordering::Relaxed);
    // SAFETY: a text's own bytes.
    unsafe { libc::write(1, c"handled\n".as_ptr().cast(), 8) };
}

fn signals() {
    // SAFETY: the handler only does what one may.
    unsafe {
        assert_ne!(libc::signal(libc::SIGUSR1, handler as *const () as usize), libc::SIG_ERR);
        assert_eq!(libc::raise(libc::SIGUSR1), 0);
    }
    assert!(HANDLED.load(Ordering::Relaxed));
}

fn memory() {
    // SAFETY: fresh pages, which nobody else knows.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        assert_eq!(libc::mprotect(page, 4096, libc::PROT_READ), 0);
        assert_eq!(libc::munmap(page, 4096), 0);
    }
}

/// `getppid`, by the instruction alone. In a machine nobody is the parent.
fn by_instruction() -> bool {
    let result: i64;
    // SAFETY: a system call without memory.
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") 110_i64 => result, out("rcx") _, out("r11") _, options(nostack));
    }
    result >= 0
}

/// A thread in the middle of a call that never ends: it writes more than a pipe holds, and what has come of it shows that it has
/// begun.
fn unfinished() {
    let (mut reader, mut writer) = io::pipe().expect("a pipe");
    thread::spawn(move || writer.write(&[b'.'; 1 << 20]));
    reader.read_exact(&mut [0]).expect("it writes");
    std::mem::forget(reader);
}
