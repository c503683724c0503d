//! One client's socket with its two buffers. It keeps the promises of both protocols: input is bounded, output is written in pieces of
//! 64 KiB, and a client that leaves cancels its running statement. It knows no message. The connections of `mysql` and `postgres` use it.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use bytes::BytesMut;
use heapql_server::Slot;
use heapql_sql::Session;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tracing::debug;

use crate::codes::{self, ErrorCode};
use crate::cursor::DecodeError;
use crate::limits::LIMIT_BEFORE_LOGIN;

/// Size of encoded output at which it is sent.
const FLUSH_AT: usize = 64 * 1024;
/// Maximum size of input that is read while a statement runs.
const READ_AHEAD: usize = 64 * 1024;
/// Maximum capacity of a buffer that is kept after a long message.
const MAX_KEPT_CAPACITY: usize = 256 * 1024;
const READ_SIZE: usize = 8 * 1024;

/// The reasons for which a connection ends. The client is told the last four.
#[derive(Debug)]
pub(crate) enum TransportError {
    /// The client has closed the connection.
    Closed,
    Io(io::Error),
    /// A message does not follow its protocol.
    Malformed(&'static str),
    TooLarge {
        bytes: usize,
        limit: usize,
    },
    Shutdown,
    Killed,
}

impl TransportError {
    /// The code and text of the last message to the client, or None if the client is gone. `unit` is the protocol's word for a message,
    /// `shutdown` its sentence for the end of the server.
    pub(crate) fn farewell(&self, unit: &str, shutdown: &str) -> Option<(ErrorCode, String)> {
        let farewell = match self {
            TransportError::Closed => return None,
            TransportError::Io(error) => {
                debug!(%error, "the connection broke");
                return None;
            }
            TransportError::Malformed(what) => (codes::MALFORMED, format!("malformed {unit}: {what}")),
            TransportError::TooLarge { bytes, limit } => {
                (codes::TOO_LARGE, format!("got a {unit} of {bytes} bytes, the limit is {limit}"))
            }
            TransportError::Shutdown => (codes::SHUTDOWN, shutdown.to_owned()),
            TransportError::Killed => (codes::KILLED, "connection was killed".to_owned()),
        };
        debug!("closing: {}", farewell.1);
        Some(farewell)
    }
}

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> TransportError {
        TransportError::Io(error)
    }
}

impl From<DecodeError> for TransportError {
    fn from(error: DecodeError) -> TransportError {
        TransportError::Malformed(error.0)
    }
}

/// The two halves of a socket, or of a pipe inside this process.
pub(crate) type StreamHalves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

pub(crate) struct Transport {
    read: Box<dyn AsyncRead + Send + Unpin>,
    write: Box<dyn AsyncWrite + Send + Unpin>,
    pub(crate) input: BytesMut,
    pub(crate) output: BytesMut,
    /// Maximum size of one incoming message.
    pub(crate) limit: usize,
    peer: SocketAddr,
    /// None while a connection is being refused because there are too many.
    slot: Option<Slot>,
    shutdown: watch::Receiver<bool>,
}

impl Transport {
    pub(crate) fn new(
        (read, write): StreamHalves,
        peer: SocketAddr,
        slot: Option<Slot>,
        shutdown: watch::Receiver<bool>,
    ) -> Transport {
        Transport {
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

    /// The client's address without its port, for messages.
    pub(crate) fn host(&self) -> String {
        self.peer.ip().to_canonical().to_string()
    }

    pub(crate) fn peer(&self) -> String {
        SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port()).to_string()
    }

    /// The connection's number in the server's list.
    pub(crate) fn id(&self) -> u32 {
        self.slot.as_ref().map_or(0, Slot::id)
    }

    /// The secret that a cancel request must name.
    pub(crate) fn secret(&self) -> i32 {
        self.slot.as_ref().map_or(0, Slot::secret)
    }

    /// Waits until `count` bytes of input have arrived. Memory grows with the bytes that arrive, not with the announced length.
    pub(crate) async fn need(&mut self, count: usize) -> Result<(), TransportError> {
        if count > self.limit {
            return Err(TransportError::TooLarge { bytes: count, limit: self.limit });
        }
        while self.input.len() < count {
            self.input.reserve(READ_SIZE);
            let read = tokio::select! {
                biased;
                why = stopped(&mut self.shutdown, self.slot.as_ref()) => return Err(why),
                read = self.read.read_buf(&mut self.input) => read?,
            };
            if read == 0 {
                return Err(TransportError::Closed);
            }
        }
        Ok(())
    }

    /// Takes `count` bytes of input that have arrived.
    pub(crate) fn take(&mut self, count: usize) -> BytesMut {
        let taken = self.input.split_to(count);
        if self.input.is_empty() && taken.len() > MAX_KEPT_CAPACITY {
            self.input = BytesMut::new();
        }
        taken
    }

    /// Sends the encoded output if it is large.
    pub(crate) async fn flush_if_full(&mut self) -> Result<(), TransportError> {
        if self.output.len() < FLUSH_AT {
            return Ok(());
        }
        self.flush().await
    }

    /// Sends the encoded output. A client that does not read delays only itself, and can still be killed.
    pub(crate) async fn flush(&mut self) -> Result<(), TransportError> {
        if self.output.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            written = self.write.write_all(&self.output) => written?,
            why = stopped(&mut self.shutdown, self.slot.as_ref()) => return Err(why),
        }
        self.output.clear();
        if self.output.capacity() > MAX_KEPT_CAPACITY {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Waits for a statement, or for its next rows, with an eye on the client: when it leaves, or the server stops, the statement
    /// is cancelled.
    pub(crate) async fn watch<F: Future>(&mut self, session: &Session, work: F) -> Result<F::Output, TransportError> {
        let mut work = pin!(work);
        let mut stopping = false;
        loop {
            let room = self.input.len() < READ_AHEAD;
            if room {
                self.input.reserve(READ_SIZE);
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
                return Err(read.map_or_else(TransportError::Io, |_| TransportError::Closed));
            }
        }
    }

    /// Sends the output and closes the connection. Errors no longer matter.
    pub(crate) async fn close(&mut self) {
        let _ = self.flush().await;
        let _ = self.write.shutdown().await;
    }
}

async fn stopped(shutdown: &mut watch::Receiver<bool>, slot: Option<&Slot>) -> TransportError {
    let killed = async {
        match slot {
            Some(slot) => slot.killed().await,
            None => std::future::pending().await,
        }
    };
    // A sender that is gone has ended with its server.
    tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => TransportError::Shutdown,
        () = killed => TransportError::Killed,
    }
}
