//! `std::sync::mpsc`: unbounded, bounded, and rendezvous channels.

use crate::{Case, saw};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    ("mpsc::channel", unbounded),
    ("mpsc::sync_channel", bounded),
    ("mpsc::sync_channel(0)", rendezvous),
    ("Receiver::recv_timeout", timeouts),
    ("mpsc errors", errors),
    ("mpsc, many senders", many),
    ("mpsc, values left behind are dropped", left_behind),
];

fn unbounded() {
    let (send, receive) = mpsc::channel::<u32>();
    saw!("try_recv, empty", receive.try_recv());
    (0..5).for_each(|n| send.send(n).unwrap());
    saw!("recv", receive.recv());
    saw!("try_iter", receive.try_iter().collect::<Vec<_>>());
    let other = send.clone();
    thread::spawn(move || (10..13).for_each(|n| other.send(n).unwrap())).join().unwrap();
    drop(send);
    saw!("iter", receive.iter().collect::<Vec<_>>());
    saw!("recv, disconnected", receive.recv());
    saw!("try_recv, disconnected", receive.try_recv());
    let (send, receive) = mpsc::channel();
    send.send(String::from("kept")).unwrap();
    drop(receive);
    saw!("send, disconnected", send.send("back".into()).map_err(|e| (e.to_string(), e.0)));
    let (send, receive) = mpsc::channel();
    thread::spawn(move || (0..3).for_each(|n| send.send(n).unwrap()));
    saw!("into_iter", receive.into_iter().sum::<u32>());
}

fn bounded() {
    let (send, receive) = mpsc::sync_channel(2);
    saw!("try_send", (send.try_send(1), send.try_send(2), send.try_send(3)));
    saw!("full", send.try_send(3).unwrap_err().to_string());
    let sender = thread::spawn(move || send.send(3));
    thread::sleep(Duration::from_millis(5));
    saw!("send waits", !sender.is_finished());
    saw!("received", (receive.recv(), receive.recv(), receive.recv()));
    saw!("sent", sender.join().unwrap());
    let (send, receive) = mpsc::sync_channel(1);
    send.send(1).unwrap();
    let waiting = thread::spawn(move || send.send(2));
    thread::sleep(Duration::from_millis(5));
    drop(receive);
    saw!("the receiver goes away", waiting.join().unwrap());
    let (send, receive) = mpsc::sync_channel::<u32>(3);
    drop(receive);
    saw!("try_send, disconnected", send.try_send(1));
    saw!("its text", send.try_send(1).unwrap_err().to_string());
    saw!("full or not", matches!(send.try_send(1), Err(TrySendError::Disconnected(1))));
}

fn rendezvous() {
    let (send, receive) = mpsc::sync_channel(0);
    saw!("try_send, nobody waits", send.try_send(0));
    let sender = thread::spawn(move || {
        (1..=100).for_each(|n| send.send(n).unwrap());
    });
    thread::sleep(Duration::from_millis(3));
    saw!("the sender waits", !sender.is_finished());
    saw!("sum", receive.iter().sum::<u32>());
    sender.join().unwrap();
}

fn timeouts() {
    let (send, receive) = mpsc::channel::<u32>();
    let start = Instant::now();
    let wait = Duration::from_millis(12);
    saw!("nothing", (receive.recv_timeout(wait), start.elapsed() >= wait));
    saw!("no time", receive.recv_timeout(Duration::ZERO));
    let sender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(2));
        send.send(1).unwrap();
    });
    saw!("in time", receive.recv_timeout(Duration::from_secs(30)));
    sender.join().unwrap();
    saw!("disconnected", receive.recv_timeout(Duration::from_secs(30)));
    saw!("at once", start.elapsed() < Duration::from_secs(20));
}

fn errors() {
    saw!("RecvError", mpsc::RecvError.to_string());
    saw!("TryRecvError", (TryRecvError::Empty.to_string(), TryRecvError::Disconnected.to_string()));
    saw!("RecvTimeoutError", (RecvTimeoutError::Timeout.to_string(), RecvTimeoutError::Disconnected.to_string()));
    saw!("SendError", (mpsc::SendError(1).to_string(), format!("{:?}", mpsc::SendError(1))));
}

fn many() {
    for bound in [None, Some(0), Some(1), Some(16)] {
        let (sum, count) = match bound {
            None => {
                let (send, receive) = mpsc::channel::<u64>();
                thread::scope(|s| {
                    for i in 0..5 {
                        let send = send.clone();
                        s.spawn(move || (0..400).for_each(|n| send.send(i * 1000 + n).unwrap()));
                    }
                    drop(send);
                    receive.iter().fold((0, 0), |(sum, count), n| (sum + n, count + 1))
                })
            }
            Some(bound) => {
                let (send, receive) = mpsc::sync_channel::<u64>(bound);
                thread::scope(|s| {
                    for i in 0..5 {
                        let send = send.clone();
                        s.spawn(move || (0..400).for_each(|n| send.send(i * 1000 + n).unwrap()));
                    }
                    drop(send);
                    receive.iter().fold((0, 0), |(sum, count), n| (sum + n, count + 1))
                })
            }
        };
        saw!(format!("{bound:?}"), (sum, count));
    }
}

fn left_behind() {
    let counted = std::sync::Arc::new(());
    let (send, receive) = mpsc::channel();
    (0..100).for_each(|_| send.send(counted.clone()).unwrap());
    drop(send);
    saw!("sent", std::sync::Arc::strong_count(&counted));
    drop(receive);
    saw!("left", std::sync::Arc::strong_count(&counted));
}
