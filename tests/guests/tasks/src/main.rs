//! tokio in both of its runtimes: tasks, timers, channels, blocking work, sockets to itself, and tasks that panic, where
//! panics unwind. Ends with 0.
#[cfg(feature = "line")]
use ampoule as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, interval, sleep, timeout};

fn main() {
    for (name, mut builder) in [("current_thread", Builder::new_current_thread()), ("multi_thread", several())] {
        let runtime = builder.enable_all().build().expect("a runtime");
        runtime.block_on(async {
            timers().await;
            channels().await;
            sockets().await;
            panics().await;
        });
        drop(runtime);
        println!("{name}");
    }
}

fn several() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(3);
    builder
}

async fn timers() {
    let start = Instant::now();
    let mut sleepers = JoinSet::new();
    (0..100u64).for_each(|i| drop(sleepers.spawn(sleep(Duration::from_millis(i % 20)))));
    while let Some(result) = sleepers.join_next().await {
        result.expect("no panic");
    }
    assert!(start.elapsed() >= Duration::from_millis(19));
    assert!(timeout(Duration::from_millis(5), std::future::pending::<()>()).await.is_err());
    let mut ticks = interval(Duration::from_millis(2));
    for _ in 0..5 {
        ticks.tick().await;
    }
}

async fn channels() {
    let (sender, mut receiver) = mpsc::channel(2);
    let sum = std::sync::Arc::new(Mutex::new(0u64));
    let total = sum.clone();
    let adder = tokio::spawn(async move {
        while let Some(n) = receiver.recv().await {
            *total.lock().await += n;
        }
    });
    let blocking = spawn_blocking(move || (0..1000).for_each(|n| sender.blocking_send(n).expect("somebody receives")));
    blocking.await.expect("no panic");
    adder.await.expect("no panic");
    assert_eq!(*sum.lock().await, 499_500);
    let (sender, receiver) = oneshot::channel::<()>();
    drop(sender);
    assert!(receiver.await.is_err());
}

async fn sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(async move {
        for _ in 0..10 {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await.expect("bytes");
            });
        }
    });
    let mut clients = JoinSet::new();
    for n in 0..10u8 {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("somebody listens");
            stream.write_all(&[n; 50_000]).await.expect("open");
            let mut back = vec![0; 50_000];
            stream.read_exact(&mut back).await.expect("bytes");
            assert!(back.iter().all(|byte| *byte == n));
        });
    }
    while let Some(result) = clients.join_next().await {
        result.expect("no panic");
    }
    server.await.expect("no panic");
    let (left, right) = (UdpSocket::bind("127.0.0.1:0").await, UdpSocket::bind("127.0.0.1:0").await);
    let (left, right) = (left.expect("bound"), right.expect("bound"));
    left.send_to(b"datagram", right.local_addr().expect("bound")).await.expect("sent");
    assert_eq!(right.recv(&mut [0; 16]).await.expect("received"), 8);
}

#[cfg(panic = "unwind")]
async fn panics() {
    let error = tokio::spawn(async { panic!("in a task") }).await.expect_err("it panicked");
    assert_eq!(error.into_panic().downcast_ref(), Some(&"in a task"));
    let error = spawn_blocking(|| panic!("in blocking work")).await.expect_err("it panicked");
    assert!(error.is_panic());
    tokio::task::yield_now().await;
}

#[cfg(not(panic = "unwind"))]
async fn panics() {}
