//! The MySQL protocol (4.1 and later), as OceanBase 5.7 speaks it. Statements are the session's. One file per part of a conversation:
//!
//! ```text
//! packet   framing            login, auth       credentials         connection   the command loop
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
mod login;
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

use crate::codes;
use crate::limits::LOGIN_TIMEOUT;
use crate::transport::{Transport, TransportError};
use connection::MysqlConnection;
use packet::PacketStream;

pub(crate) struct Mysql {
    engine: Arc<Engine>,
}

impl Mysql {
    pub(crate) fn new(engine: Arc<Engine>) -> Mysql {
        Mysql { engine }
    }

    /// Serves one client, from the greeting to the last packet.
    pub(crate) async fn serve(&self, transport: Transport) {
        let mut wire = PacketStream::new(transport);
        let login = timeout(LOGIN_TIMEOUT, login::login(&mut wire, &self.engine)).await;
        let ended = match login {
            Ok(Ok(Some(login))) => {
                info!("connected");
                MysqlConnection::new(&mut wire, Arc::clone(&self.engine), login).run().await
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
        wire.transport.close().await;
        debug!("disconnected");
    }

    /// Refuses a client with an error instead of a greeting.
    pub(crate) async fn refuse(transport: Transport, message: &str) {
        let mut wire = PacketStream::new(transport);
        reply::error(&mut wire, codes::code(FailureKind::TooManyConnections), message);
        wire.transport.close().await;
    }
}

/// Sends the last packet, if the client is still there to read it.
fn farewell(wire: &mut PacketStream, error: &TransportError) {
    if let Some((code, message)) = error.farewell("packet", "Server shutdown in progress") {
        reply::error(wire, code, &message);
    }
}
