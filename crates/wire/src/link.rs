//! One client's socket with its two buffers. It knows no protocol; it is where the promises live that both protocols
//! give: input is bounded, output is written in pieces of 64 KiB, and while a statement runs somebody is watching
//! whether the client is still there. Called by the connections of `mysql` and `postgres`.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use heapql_server::Slot;
use heapql_sql::Session;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio::task::block_in_place;

use crate::cursor::Malformed;

/// Nobody needs more to log in.
pub(crate) const LIMIT_BEFORE_LOGIN: usize = 64 * 1024;
/// The longest statement, with its parameters.
pub(crate) const LIMIT_AFTER_LOGIN: usize = 16 * 1024 * 1024;
/// Rows are sent when this much of them has been encoded.
const FLUSH_AT: usize = 64 * 1024;
/// How much of what a client sends while its statement runs is read ahead; beyond it, it waits.
const READ_AHEAD: usize = 64 * 1024;
/// A buffer that grew for one long message is given back after it.
const KEEP: usize = 256 * 1024;
const READ_PIECE: usize = 8 * 1024;

/// Why a connection ends. Only the last four are worth telling the client.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// The client left, which is how most connections end.
    Closed,
    Io(io::Error),
    Malformed(&'static str),
    TooLarge {
        bytes: usize,
        limit: usize,
    },
    Shutdown,
    Killed,
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> LinkError {
        LinkError::Io(error)
    }
}

impl From<Malformed> for LinkError {
    fn from(error: Malformed) -> LinkError {
        LinkError::Malformed(error.0)
    }
}

/// The two halves of a stream: of a socket, or of a pipe inside this process.
pub(crate) type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

pub(crate) struct Link {
    read: Box<dyn AsyncRead + Send + Unpin>,
    write: Box<dyn AsyncWrite + Send + Unpin>,
    pub(crate) input: BytesMut,
    pub(crate) output: BytesMut,
    /// Of one incoming message.
    pub(crate) limit: usize,
    peer: SocketAddr,
    /// `None` while a connection is being refused for lack of a place.
    slot: Option<Slot>,
    shutdown: watch::Receiver<bool>,
}

impl Link {
    pub(crate) fn new(
        (read, write): Halves,
        peer: SocketAddr,
        slot: Option<Slot>,
        shutdown: watch::Receiver<bool>,
    ) -> Link {
        Link {
            read,
            write,
            input: BytesMut::new(),
            output: BytesMut::new(),
            limit: LIMIT_BEFORE_LOGIN,
            peer,
            slot,
            shutdown,
        }
    }

    /// The client's address without its port, as it is shown in messages.
    pub(crate) fn host(&self) -> String {
        self.peer.ip().to_canonical().to_string()
    }

    pub(crate) fn peer(&self) -> String {
        SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port()).to_string()
    }

    /// The number under which the catalog lists this connection.
    pub(crate) fn id(&self) -> u32 {
        self.slot.as_ref().map_or(0, Slot::id)
    }

    /// What a cancel request must know.
    pub(crate) fn secret(&self) -> i32 {
        self.slot.as_ref().map_or(0, Slot::secret)
    }

    /// Waits until `count` bytes of input are there. Memory follows what was sent, not what was announced.
    pub(crate) async fn need(&mut self, count: usize) -> Result<(), LinkError> {
        if count > self.limit {
            return Err(LinkError::TooLarge { bytes: count, limit: self.limit });
        }
        while self.input.len() < count {
            self.input.reserve(READ_PIECE);
            let read = tokio::select! {
                biased;
                why = stopped(&mut self.shutdown, self.slot.as_ref()) => return Err(why),
                read = self.read.read_buf(&mut self.input) => read?,
            };
            if read == 0 {
                return Err(LinkError::Closed);
            }
        }
        Ok(())
    }

    /// Takes `count` bytes of input that are there.
    pub(crate) fn take(&mut self, count: usize) -> BytesMut {
        let taken = self.input.split_to(count);
        if self.input.is_empty() && taken.len() > KEEP {
            self.input = BytesMut::new();
        }
        taken
    }

    /// Sends what has been encoded, if it is much.
    pub(crate) async fn flush_if_full(&mut self) -> Result<(), LinkError> {
        if self.output.len() < FLUSH_AT {
            return Ok(());
        }
        self.flush().await
    }

    /// Sends what has been encoded. A client that does not read holds up only itself, and can still be killed.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        if self.output.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            written = self.write.write_all(&self.output) => written?,
            why = stopped(&mut self.shutdown, self.slot.as_ref()) => return Err(why),
        }
        self.output.clear();
        if self.output.capacity() > KEEP {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Runs a statement, or waits for its next rows, with an eye on the client: when it leaves, or the server stops,
    /// the statement is cancelled. The engine plans without a pause, so that its work must not hold up the thread that
    /// serves others.
    pub(crate) async fn watch<F: Future>(&mut self, session: &Session, work: F) -> Result<F::Output, LinkError> {
        let mut work = pin!(work);
        let mut work = poll_fn(|context| apart(work.as_mut(), context));
        let mut stopping = false;
        loop {
            let room = self.input.len() < READ_AHEAD;
            if room {
                self.input.reserve(READ_PIECE);
            }
            let read = tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                read = self.read.read_buf(&mut self.input), if room => read,
                _ = stopped(&mut self.shutdown, self.slot.as_ref()), if !stopping => {
                    stopping = true;
                    session.cancel();
                    continue;
                }
            };
            if !matches!(read, Ok(1..)) {
                session.cancel();
                return Err(read.map_or_else(LinkError::Io, |_| LinkError::Closed));
            }
        }
    }

    /// Tells the peer that nothing follows. Errors do not matter any more.
    pub(crate) async fn close(&mut self) {
        let _ = self.flush().await;
        let _ = self.write.shutdown().await;
    }
}

/// Polls once, while the runtime's other tasks move to another thread.
///
/// `block_in_place` lifts the runtime's budget, and running out of it is what makes the engine pause; `block_on` sets it
/// again, so that a long statement comes up to be cancelled.
pub(crate) fn apart<F: Future>(mut work: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    let runtime = Handle::current();
    match runtime.runtime_flavor() {
        RuntimeFlavor::MultiThread => {
            block_in_place(|| runtime.block_on(poll_fn(|_| Poll::Ready(work.as_mut().poll(context)))))
        }
        _ => work.poll(context),
    }
}

async fn stopped(shutdown: &mut watch::Receiver<bool>, slot: Option<&Slot>) -> LinkError {
    let killed = async {
        match slot {
            Some(slot) => slot.killed().await,
            None => std::future::pending().await,
        }
    };
    // A sender that is gone can never ask for a shutdown; its server is gone too.
    tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => LinkError::Shutdown,
        () = killed => LinkError::Killed,
    }
}
