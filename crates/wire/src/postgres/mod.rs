//! The PostgreSQL protocol, version 3. Statements are the session's. One file per part of a conversation:
//!
//! ```text
//! message   frontend messages      login, scram     credentials       connection   the message loop
//! reply     backend messages       row, numeric     result rows       portal       prepared statements, parameter
//! ```
//!
//! pgwire gives the backend messages, SCRAM and the text and binary forms of values, arrow-pg their Arrow side. Its
//! server loop is not used: it decodes untrusted lengths by panicking, holds all rows of an Execute in memory, runs
//! every statement of a Query before it sends the first one's rows, and does not notice that a client left.
//! Left out: TLS, COPY, cursors of SQL (DECLARE), notifications. Called by `listen`.

mod connection;
mod login;
mod message;
mod numeric;
mod parameter;
mod portal;
mod reply;
mod row;
mod scram;

use std::sync::Arc;

use heapql_server::FailureKind;
use heapql_sql::Engine;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::codes::{self, code};
use crate::limits::LOGIN_TIMEOUT;
use crate::transport::{Transport, TransportError};
use connection::PostgresConnection;
use scram::PasswordVerifier;

pub(crate) struct Postgres {
    engine: Arc<Engine>,
    /// None if no password is set. Then only loopback is bound.
    verifier: Option<PasswordVerifier>,
}

impl Postgres {
    pub(crate) fn new(engine: Arc<Engine>) -> Postgres {
        let verifier = engine.server().password().map(PasswordVerifier::new);
        Postgres { engine, verifier }
    }

    /// Serves one client, from the first byte to the last.
    pub(crate) async fn serve(&self, mut transport: Transport) {
        let login = timeout(LOGIN_TIMEOUT, login::login(&mut transport, &self.engine, self.verifier.as_ref())).await;
        let ended = match login {
            Ok(Ok(Some(session))) => {
                info!("connected");
                PostgresConnection::new(&mut transport, session).run().await
            }
            Ok(Ok(None)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                warn!("no log-in within {LOGIN_TIMEOUT:?}");
                reply::fatal(&mut transport, codes::LOGIN_TIMEOUT, "the log-in took too long");
                Ok(())
            }
        };
        if let Err(error) = ended {
            farewell(&mut transport, &error);
        }
        transport.close().await;
        debug!("disconnected");
    }

    /// Refuses a client because there are too many. A cancel request is served nevertheless.
    pub(crate) async fn refuse(mut transport: Transport, engine: &Engine, message: &str) {
        match login::first(&mut transport).await {
            Ok(login::FirstMessage::Startup(_)) => {
                reply::fatal(&mut transport, code(FailureKind::TooManyConnections), message);
            }
            Ok(login::FirstMessage::Cancel { id, secret }) => {
                engine.server().connections().cancel_with_secret(id, secret);
            }
            Err(error) => farewell(&mut transport, &error),
        }
        transport.close().await;
    }
}

/// Sends the last message, if the client is still there to read it.
fn farewell(transport: &mut Transport, error: &TransportError) {
    let shutdown = "terminating connection due to administrator command";
    if let Some((code, message)) = error.farewell("message", shutdown) {
        reply::fatal(transport, code, &message);
    }
}
