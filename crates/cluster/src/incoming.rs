//! Incoming connections from other servers: the limit on their number, and the time limit until a request is authenticated.
//!
//! Bytes pass through unread. `authenticator` reports authenticated requests, `service` serves the connections.

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

use crate::counts::RefusalCounts;

/// Maximum number of connections: one per member, and some to spare.
const MAX_CONNECTIONS: usize = 1280;
/// Maximum number of connections without an authenticated request.
const MAX_UNAUTHENTICATED: usize = 64;
/// Timeout from accept to the first authenticated request.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection's permit, through which its requests mark it as authenticated.
#[derive(Clone)]
pub(crate) struct ConnectionPermit {
    is_authenticated: Arc<AtomicBool>,
    /// Permit of an unauthenticated connection.
    unauthenticated: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl ConnectionPermit {
    /// A request on the connection is authenticated.
    pub(crate) fn mark_authenticated(&self) {
        if !self.is_authenticated.swap(true, Relaxed) {
            self.unauthenticated.lock().take();
        }
    }
}

/// A connection that is dropped unless a request on it is authenticated in time.
pub(crate) struct IncomingStream {
    stream: TcpStream,
    permit: ConnectionPermit,
    deadline: Pin<Box<Sleep>>,
    counts: Arc<RefusalCounts>,
    _connection: OwnedSemaphorePermit,
}

/// Accepted connections. The stream never ends and never fails; connections beyond the limits are dropped and counted.
pub(crate) fn incoming(
    listener: TcpListener,
    counts: Arc<RefusalCounts>,
) -> impl Stream<Item = io::Result<IncomingStream>> {
    let all = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let unauthenticated = Arc::new(Semaphore::new(MAX_UNAUTHENTICATED));
    let state = (listener, all, unauthenticated, counts);
    futures::stream::unfold(state, |(listener, all, unauthenticated, counts)| async move {
        let accepted = loop {
            let stream = accept(&listener).await;
            let permits = Arc::clone(&all).try_acquire_owned().and_then(|connection| {
                let unauthenticated = Arc::clone(&unauthenticated).try_acquire_owned()?;
                Ok((connection, unauthenticated))
            });
            match permits {
                Ok(permits) => break IncomingStream::new(stream, permits, Arc::clone(&counts)),
                Err(_) => RefusalCounts::add(&counts.crowded, 1),
            }
        };
        Some((Ok(accepted), (listener, all, unauthenticated, counts)))
    })
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                // Most likely the process is out of descriptors, and accept would fail again at once.
                tracing::warn!(%error, "cannot accept a connection of another server");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl IncomingStream {
    fn new(
        stream: TcpStream,
        (connection, unauthenticated): (OwnedSemaphorePermit, OwnedSemaphorePermit),
        counts: Arc<RefusalCounts>,
    ) -> IncomingStream {
        // A connection that is already closed fails at its first read.
        let _ = stream.set_nodelay(true);
        let unauthenticated = Arc::new(Mutex::new(Some(unauthenticated)));
        let permit = ConnectionPermit { is_authenticated: Arc::default(), unauthenticated };
        let deadline = Box::pin(sleep(AUTHENTICATION_TIMEOUT));
        IncomingStream { stream, permit, deadline, counts, _connection: connection }
    }

    /// Fails if the connection is not authenticated in time. Until then it registers the task to be woken at the deadline.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.permit.is_authenticated.load(Relaxed) || self.deadline.as_mut().poll(context).is_pending() {
            return Ok(());
        }
        RefusalCounts::add(&self.counts.silent, 1);
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Connected for IncomingStream {
    type ConnectInfo = ConnectionPermit;

    fn connect_info(&self) -> ConnectionPermit {
        self.permit.clone()
    }
}

impl AsyncRead for IncomingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for IncomingStream {
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

/// Registers a bound listener with the runtime, and returns its address.
pub(crate) fn listener(bound: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
    bound.set_nonblocking(true)?;
    let address = bound.local_addr()?;
    Ok((TcpListener::from_std(bound)?, address))
}
