//! A chat room over WebSockets: what one says, all hear, the speaker too.
#![forbid(unsafe_code)]

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::{self, Sender, error::RecvError};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// What a slow listener may lag behind before it misses something.
const BACKLOG: usize = 4096;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 8080)).await?;
    let (room, _) = broadcast::channel(BACKLOG);
    let mut stop = signal(SignalKind::terminate())?;
    println!("serving on 8080");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(attend(stream, room.clone()));
            }
            _ = stop.recv() => break,
        }
    }
    println!("stopped");
    Ok(())
}

async fn attend(stream: TcpStream, room: Sender<Utf8Bytes>) {
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let mut heard = room.subscribe();
    let (mut sink, mut source) = socket.split();
    loop {
        tokio::select! {
            said = source.next() => match said {
                Some(Ok(Message::Text(text))) => drop(room.send(text)),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            text = heard.recv() => match text {
                Ok(text) => {
                    if sink.send(Message::Text(text)).await.is_err() {
                        break;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
        }
    }
    _ = sink.close().await;
}
