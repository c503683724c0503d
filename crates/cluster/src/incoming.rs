//! Connections that come in: how many at once, and how long one may last on which no server has proved itself. Nothing is
//! read here that is not handed on; `gate` says who has proved itself. `service` serves them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use crate::counts::Counts;

/// Members need one each, and a few to spare.
const MAX_CONNECTIONS: usize = 1280;
/// On which nobody has proved itself yet.
const MAX_STRANGERS: usize = 64;
/// From accept to the first good request.
const PROVE_WITHIN: Duration = Duration::from_secs(5);

/// What a connection's requests know of it.
#[derive(Clone)]
pub(crate) struct Entrance {
    is_proved: Arc<AtomicBool>,
    /// Its place among the strangers.
    place: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Entrance {
    /// A request on it was good.
    pub(crate) fn prove(&self) {
        if !self.is_proved.swap(true, Relaxed) {
            self.place.lock().take();
        }
    }
}

/// A connection that is dropped if nobody proves itself on it.
pub(crate) struct Incoming {
    stream: TcpStream,
    entrance: Entrance,
    deadline: Pin<Box<Sleep>>,
    counts: Arc<Counts>,
    _permit: OwnedSemaphorePermit,
}

/// Connections as they come. It never ends and never fails: what cannot be taken is counted.
pub(crate) fn incoming(listener: TcpListener, counts: Arc<Counts>) -> impl Stream<Item = io::Result<Incoming>> {
    let all = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    futures::stream::unfold((listener, all, strangers, counts), |(listener, all, strangers, counts)| async move {
        let taken = loop {
            let stream = accept(&listener).await;
            let places = Arc::clone(&all).try_acquire_owned().and_then(|permit| {
                let place = Arc::clone(&strangers).try_acquire_owned()?;
                Ok((permit, place))
            });
            match places {
                Ok(places) => break Incoming::new(stream, places, Arc::clone(&counts)),
                Err(_) => Counts::add(&counts.crowded, 1),
            }
        };
        Some((Ok(taken), (listener, all, strangers, counts)))
    })
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                // Out of descriptors, most likely: it would fail again at once, for ever.
                tracing::warn!(%error, "cannot accept a connection of another server");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Incoming {
    fn new(
        stream: TcpStream,
        (permit, place): (OwnedSemaphorePermit, OwnedSemaphorePermit),
        counts: Arc<Counts>,
    ) -> Incoming {
        // A connection that is gone already says so when it is read.
        let _ = stream.set_nodelay(true);
        let entrance = Entrance { is_proved: Arc::default(), place: Arc::new(Mutex::new(Some(place))) };
        Incoming { stream, entrance, deadline: Box::pin(sleep(PROVE_WITHIN)), counts, _permit: permit }
    }

    /// An error when nobody has proved itself in time; else the task is woken at that time.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.entrance.is_proved.load(Relaxed) || self.deadline.as_mut().poll(context).is_pending() {
            return Ok(());
        }
        Counts::add(&self.counts.silent, 1);
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Connected for Incoming {
    type ConnectInfo = Entrance;

    fn connect_info(&self) -> Entrance {
        self.entrance.clone()
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

/// Where a listener that was bound elsewhere listens.
pub(crate) fn listener(bound: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
    bound.set_nonblocking(true)?;
    let address = bound.local_addr()?;
    Ok((TcpListener::from_std(bound)?, address))
}
