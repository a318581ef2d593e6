//! A listener that holds so many connections at a time and no more: the next waits in the kernel's queue until one ends.
//! One on which nothing moves in either direction ends by itself, so that peers that are gone, or only connect, keep nobody
//! from being answered.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

pub struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
    longest_silence: Duration,
}

impl Limited {
    /// `longest_answer` is how long a client may have to wait for its answer; a minute beyond it without a byte is silence.
    pub fn new(listener: TcpListener, connections: usize, longest_answer: Duration) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(connections)),
            longest_silence: longest_answer + Duration::from_secs(60),
        }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = self.places.clone().acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection = Connection {
            stream,
            silence: Box::pin(sleep(self.longest_silence)),
            longest_silence: self.longest_silence,
            _place: place,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection and its place, which is free again when this is dropped.
pub struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    longest_silence: Duration,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// What came of reading or writing; an error when nothing has for too long.
    fn unless_silent<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.silence.as_mut().reset(Instant::now() + self.longest_silence);
            return moved;
        }
        ready!(self.silence.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.unless_silent(cx, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_silent(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_connection_too_many_waits_until_another_ends() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = inner.local_addr().unwrap();
        let mut limited = Limited::new(inner, 2, Duration::ZERO);
        let clients: Vec<_> = futures::future::join_all((0..3).map(|_| TcpStream::connect(address))).await;
        assert!(clients.iter().all(Result::is_ok));
        let (first, _) = limited.accept().await;
        let (_second, _) = limited.accept().await;
        let third = tokio::time::timeout(Duration::from_millis(100), limited.accept()).await;
        assert!(third.is_err(), "two places, three connections");
        drop(first);
        tokio::time::timeout(Duration::from_secs(5), limited.accept())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_ends_and_one_that_is_slow_does_not() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = inner.local_addr().unwrap();
        let mut limited = Limited::new(inner, 1, Duration::ZERO);
        limited.longest_silence = Duration::from_secs(1);
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut served, _) = limited.accept().await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(served.read_u8().await.unwrap(), b'x');
        }
        let silent = served.read_u8().await.unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        let much = vec![0; 64 << 20];
        let stuck = served.write_all(&much).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut, "the client takes nothing");
    }
}
