//! The MySQL protocol (4.1 and later), as OceanBase 5.7 speaks it. One file per part of a conversation:
//!
//! ```text
//! packet   framing            handshake, auth   who is there        connection   the command loop
//! reply    OK, EOF, errors    column, value     result sets         statement    prepared statements, parameter
//! ```
//!
//! It is not on opensrv-mysql: that crate writes a warning count of zero into every OK, knows only the error numbers
//! of its own enumeration (no 4147, no 5099), answers a failed log-in and unknown commands by itself, and reads
//! packets of any size before log-in, none of which a caller can change. Left out: TLS, compression, LOCAL INFILE,
//! server-side cursors (rows are streamed instead), replication. Called by `listen`.

mod auth;
mod change_user;
mod column;
mod connection;
mod handshake;
mod packet;
mod parameter;
mod protocol;
mod reply;
mod rows;
mod statement;
mod value;

use std::sync::Arc;

use heapql_server::FailureKind;
use heapql_sql::Engine;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::codes::{self, Code};
use crate::link::{Link, LinkError};
use crate::listen::LOGIN_TIMEOUT;
use connection::Connection;
use packet::Wire;

pub(crate) struct Mysql {
    engine: Arc<Engine>,
}

impl Mysql {
    pub(crate) fn new(engine: Arc<Engine>) -> Mysql {
        Mysql { engine }
    }

    /// From the greeting to the last packet.
    pub(crate) async fn serve(&self, link: Link) {
        let mut wire = Wire::new(link);
        let login = timeout(LOGIN_TIMEOUT, handshake::login(&mut wire, &self.engine)).await;
        let ended = match login {
            Ok(Ok(Some(guest))) => {
                info!("connected");
                Connection::new(&mut wire, Arc::clone(&self.engine), guest).run().await
            }
            Ok(Ok(None)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                warn!("no log-in within {LOGIN_TIMEOUT:?}");
                reply::error(&mut wire, codes::LOGIN_TIMEOUT, "the log-in took too long");
                Ok(())
            }
        };
        if let Err(error) = ended {
            farewell(&mut wire, &error);
        }
        wire.link.close().await;
        debug!("disconnected");
    }

    /// Says why there is no place, instead of a greeting.
    pub(crate) async fn refuse(link: Link, message: &str) {
        let mut wire = Wire::new(link);
        reply::error(&mut wire, codes::code(FailureKind::TooManyConnections), message);
        wire.link.close().await;
    }
}

/// The last packet, when the client is still there to read it.
fn farewell(wire: &mut Wire, error: &LinkError) {
    let (code, message): (Code, String) = match error {
        LinkError::Closed => return,
        LinkError::Io(error) => {
            debug!(%error, "the connection broke");
            return;
        }
        LinkError::Malformed(what) => (codes::MALFORMED, format!("malformed packet: {what}")),
        LinkError::TooLarge { bytes, limit } => {
            (codes::TOO_LARGE, format!("got a packet of {bytes} bytes, the limit is {limit}"))
        }
        LinkError::Shutdown => (codes::SHUTDOWN, "Server shutdown in progress".to_owned()),
        LinkError::Killed => (codes::KILLED, "connection was killed".to_owned()),
    };
    debug!("closing: {message}");
    reply::error(wire, code, &message);
}
