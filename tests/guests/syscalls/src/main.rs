//! Raw `syscall` instructions, as crates emit that go past libc: our own, and those of rustix's Linux backend. Every
//! register but `rax`, `rcx` and `r11` stays, the vector registers and the red zone too. Ends with 0.
#[cfg(feature = "line")]
use ampoule as _;
use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll, eventfd, poll};
use rustix::net::{AddressFamily, SocketAddrV4, SocketType};
use rustix::{fs, io, net, pipe, rand, thread, time};
use std::arch::{asm, global_asm};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// `getpid`; everywhere 1.
const GETPID: u64 = 39;

global_asm!(
    // In: rdi the number. Out: what the call gave, or -1 if a register was lost.
    ".globl all_registers",
    "all_registers:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov rax, rdi",
    "mov rbx, 0x1b1b1b1b",
    "mov rdx, 0x2d2d2d2d",
    "mov rsi, 0x35353535",
    "mov rdi, 0x4d4d4d4d",
    "mov rbp, 0x5b5b5b5b",
    "mov r8, 0x68686868",
    "mov r9, 0x79797979",
    "mov r10, 0x1a1a1a1a",
    "mov r12, 0x2c2c2c2c",
    "mov r13, 0x3d3d3d3d",
    "mov r14, 0x4e4e4e4e",
    "mov r15, 0x5f5f5f5f",
    "movq xmm0, rbx",
    "movq xmm7, rbp",
    "movq xmm15, r15",
    "mov qword ptr [rsp - 8], 0x77",
    "mov qword ptr [rsp - 128], 0x78",
    "mov rcx, rsp",
    "movq xmm8, rcx",
    "std",
    "syscall",
    // The flags stay: the direction is still down.
    "pushfq",
    "pop rcx",
    "cld",
    "test ecx, 0x400",
    "jz 9f",
    "cmp rbx, 0x1b1b1b1b",
    "jne 9f",
    "cmp rdx, 0x2d2d2d2d",
    "jne 9f",
    "cmp rsi, 0x35353535",
    "jne 9f",
    "cmp rdi, 0x4d4d4d4d",
    "jne 9f",
    "cmp rbp, 0x5b5b5b5b",
    "jne 9f",
    "cmp r8, 0x68686868",
    "jne 9f",
    "cmp r9, 0x79797979",
    "jne 9f",
    "cmp r10, 0x1a1a1a1a",
    "jne 9f",
    "cmp r12, 0x2c2c2c2c",
    "jne 9f",
    "cmp r13, 0x3d3d3d3d",
    "jne 9f",
    "cmp r14, 0x4e4e4e4e",
    "jne 9f",
    "cmp r15, 0x5f5f5f5f",
    "jne 9f",
    "movq rcx, xmm0",
    "cmp rcx, rbx",
    "jne 9f",
    "movq rcx, xmm7",
    "cmp rcx, rbp",
    "jne 9f",
    "movq rcx, xmm15",
    "cmp rcx, r15",
    "jne 9f",
    "movq rcx, xmm8",
    "cmp rcx, rsp",
    "jne 9f",
    // [rsp - 8] has been pushed over.
    "cmp qword ptr [rsp - 128], 0x78",
    "jne 9f",
    "8:",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    "9: mov rax, -1",
    "jmp 8b",
);

unsafe extern "C" {
    safe fn all_registers(number: u64) -> i64;
}

/// The instruction inside a Rust function, where the sealer finds it.
fn call(number: u64, a: u64, b: u64, c: u64) -> i64 {
    let result: i64;
    // SAFETY: the callers' calls touch only the memory they name.
    unsafe {
        asm!(
            "syscall",
            inout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c,
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    result
}

fn main() {
    by_hand();
    files_and_pipes();
    readiness();
    sockets();
    while_others_run();
    println!("raw system calls are carried out");
}

fn by_hand() {
    const NO_SUCH_CALL: i64 = -38;
    assert_eq!(call(GETPID, 0, 0, 0), 1);
    assert_eq!(call(9999, 0, 0, 0), NO_SUCH_CALL);
    let text = b"written by an instruction\n";
    assert_eq!(call(1, 1, text.as_ptr() as u64, text.len() as u64), text.len() as i64);
    for _ in 0..1000 {
        assert_eq!(all_registers(GETPID), 1);
        assert_eq!(all_registers(9999), NO_SUCH_CALL);
    }
    println!("registers stay");
}

fn files_and_pipes() {
    let (reader, writer) = pipe::pipe().expect("a pipe");
    assert_eq!(io::write(&writer, b"through a pipe"), Ok(14));
    let mut buffer = [0; 32];
    assert_eq!(io::read(&reader, &mut buffer), Ok(14));
    assert_eq!(&buffer[..14], b"through a pipe");
    drop(reader);
    assert_eq!(io::write(&writer, b"x"), Err(io::Errno::PIPE));
    let null = fs::open("/dev/null", fs::OFlags::RDWR, fs::Mode::empty()).expect("always there");
    assert_eq!(io::write(&null, b"gone"), Ok(4));
    assert_eq!(fs::open("/no/such/file", fs::OFlags::RDONLY, fs::Mode::empty()).err(), Some(io::Errno::NOENT));
    let mut random = [0; 32];
    assert_eq!(rand::getrandom(&mut random, rand::GetRandomFlags::empty()), Ok(32));
    assert_ne!(random, [0; 32]);
    let before = time::clock_gettime(time::ClockId::Monotonic);
    let pause = time::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
    assert!(matches!(thread::nanosleep(&pause), thread::NanosleepRelativeResult::Ok));
    let after = time::clock_gettime(time::ClockId::Monotonic);
    assert!((after.tv_sec, after.tv_nsec) > (before.tv_sec, before.tv_nsec));
    println!("files, pipes, randomness and time");
}

fn readiness() {
    let event = eventfd(0, EventfdFlags::NONBLOCK).expect("an event");
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll instance");
    epoll::add(&set, &event, epoll::EventData::new_u64(7), epoll::EventFlags::IN).expect("added");
    let mut events = Vec::with_capacity(4);
    let now = time::Timespec { tv_sec: 0, tv_nsec: 0 };
    assert_eq!(epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), Some(&now)), Ok(0));
    io::write(&event, &1u64.to_ne_bytes()).expect("counts");
    assert_eq!(epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), None), Ok(1));
    let data = events[0].data;
    assert_eq!(data.u64(), 7);
    assert_eq!(poll(&mut [PollFd::new(&event, PollFlags::IN)], None), Ok(1));
    println!("readiness");
}

fn sockets() {
    let listener = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("bound");
    net::listen(&listener, 4).expect("listens");
    let address = net::getsockname(&listener).expect("bound");
    let client = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    net::connect(&client, &address).expect("connected");
    let server = net::accept(&listener).expect("a connection");
    net::send(&client, b"hello", net::SendFlags::empty()).expect("sent");
    let mut buffer = [0; 8];
    let (length, _) = net::recv(&server, &mut buffer, net::RecvFlags::empty()).expect("received");
    assert_eq!(&buffer[..length], b"hello");
    println!("sockets");
}

/// Slices come in the middle of it all.
fn while_others_run() {
    let (done, spins) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                spins.fetch_add(1, Ordering::Relaxed);
            }
        });
        let callers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        assert_eq!(all_registers(GETPID), 1);
                        thread::sched_yield();
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
        done.store(true, Ordering::Relaxed);
    });
    assert!(spins.into_inner() > 0);
    println!("threads");
}
