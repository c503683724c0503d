//! The PostgreSQL protocol, version 3. One file per part of a conversation:
//!
//! ```text
//! message   what clients send      startup, scram   who is there      connection   the message loop
//! reply     what we send           row, numeric     result rows       portal       prepared statements, parameter
//! ```
//!
//! pgwire gives the backend messages, SCRAM and the text and binary forms of values, arrow-pg their Arrow side. Its
//! server loop is not used: it decodes untrusted lengths by panicking, holds all rows of an Execute in memory, runs
//! every statement of a Query before it sends the first one's rows, and does not notice that a client left.
//! Left out: TLS, COPY, cursors of SQL (DECLARE), notifications. Called by `listen`.

mod connection;
mod message;
mod numeric;
mod parameter;
mod portal;
mod reply;
mod row;
mod scram;
mod startup;

use std::sync::Arc;

use heapql_server::FailureKind;
use heapql_sql::Engine;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::codes::{self, Code, code};
use crate::link::{Link, LinkError};
use crate::listen::LOGIN_TIMEOUT;
use connection::Connection;
use scram::Verifier;

pub(crate) struct Postgres {
    engine: Arc<Engine>,
    /// `None`: no password is set, and only loopback is bound.
    verifier: Option<Verifier>,
}

impl Postgres {
    pub(crate) fn new(engine: Arc<Engine>) -> Postgres {
        let verifier = engine.server().password().map(Verifier::of);
        Postgres { engine, verifier }
    }

    /// From the first byte to the last.
    pub(crate) async fn serve(&self, mut link: Link) {
        let login = timeout(LOGIN_TIMEOUT, startup::login(&mut link, &self.engine, self.verifier.as_ref())).await;
        let ended = match login {
            Ok(Ok(Some(session))) => {
                info!("connected");
                Connection::new(&mut link, session).run().await
            }
            Ok(Ok(None)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                warn!("no log-in within {LOGIN_TIMEOUT:?}");
                reply::fatal(&mut link, codes::LOGIN_TIMEOUT, "the log-in took too long");
                Ok(())
            }
        };
        if let Err(error) = ended {
            farewell(&mut link, &error);
        }
        link.close().await;
        debug!("disconnected");
    }

    /// Says why there is no place. A cancel request needs no place and is served.
    pub(crate) async fn refuse(mut link: Link, engine: &Engine, message: &str) {
        match startup::first(&mut link).await {
            Ok(startup::First::Startup(_)) => {
                reply::fatal(&mut link, code(FailureKind::TooManyConnections), message);
            }
            Ok(startup::First::Cancel { id, secret }) => {
                engine.server().connections().cancel_with_secret(id, secret);
            }
            Err(error) => farewell(&mut link, &error),
        }
        link.close().await;
    }
}

/// The last message, when the client is still there to read it.
fn farewell(link: &mut Link, error: &LinkError) {
    let (code, message): (Code, String) = match error {
        LinkError::Closed => return,
        LinkError::Io(error) => {
            debug!(%error, "the connection broke");
            return;
        }
        LinkError::Malformed(what) => (codes::MALFORMED, format!("malformed message: {what}")),
        LinkError::TooLarge { bytes, limit } => {
            (codes::TOO_LARGE, format!("got a message of {bytes} bytes, the limit is {limit}"))
        }
        LinkError::Shutdown => (codes::SHUTDOWN, "terminating connection due to administrator command".to_owned()),
        LinkError::Killed => (codes::KILLED, "connection was killed".to_owned()),
    };
    debug!("closing: {message}");
    reply::fatal(link, code, &message);
}
