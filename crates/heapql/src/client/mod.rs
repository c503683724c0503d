//! A client in the PostgreSQL protocol, for the running server, another server, or a server inside this process that reads the ledgers.
//! All three answer alike, because they use the same protocol.
//!
//! It prints nothing. Called by `sql`, `set`, `top` and the pictures.

mod embedded;
mod endpoint;
mod error;
mod row_stream;

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, CancelToken, Config, Connection, NoTls};

pub(crate) use endpoint::{Endpoint, password};
pub(crate) use error::ClientError;
pub(crate) use row_stream::{ColumnInfo, RowStream};

use crate::cli::EndpointFlags;
use crate::error::Error;
use embedded::EmbeddedServer;

/// Timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of notices of one statement. The server sends no more either.
const MAX_NOTICES: usize = 100;

pub(crate) struct Client {
    inner: tokio_postgres::Client,
    route: Route,
    notices: Arc<Mutex<Vec<String>>>,
}

/// The way to another connection to the same server.
#[derive(Clone)]
enum Route {
    Socket(String),
    Pipe(EmbeddedServer),
}

impl Client {
    /// Connects to the endpoint that the flags choose.
    pub(crate) async fn open(flags: &EndpointFlags) -> Result<Client, Error> {
        Ok(Client::connect(&Endpoint::choose(flags)?, password(flags)?.as_deref()).await?)
    }

    pub(crate) async fn connect(endpoint: &Endpoint, password: Option<&str>) -> Result<Client, ClientError> {
        let mut config = Config::new();
        config.user("root").dbname("oceanbase").application_name("heapql");
        if let Some(password) = password {
            config.password(password);
        }
        match endpoint {
            Endpoint::Server { address } => {
                let route = Route::Socket(address.clone());
                let opened =
                    timeout(CONNECT_TIMEOUT, async { start(config, socket(address).await?, route).await }).await;
                opened.unwrap_or_else(|_| Err(ClientError::no_answer(address, CONNECT_TIMEOUT)))
            }
            Endpoint::Ledgers(root) => {
                let offline = EmbeddedServer::open(root)?;
                start(config, offline.pipe(), Route::Pipe(offline)).await
            }
        }
    }

    /// Runs one statement. Returns None for a statement without rows, when it is done.
    pub(crate) async fn ask(&self, statement: &str) -> Result<Option<RowStream>, ClientError> {
        let prepared = self.inner.prepare(statement).await?;
        self.notices().clear();
        if prepared.columns().is_empty() {
            self.inner.batch_execute(statement).await?;
            return Ok(None);
        }
        let columns = prepared.columns().iter().map(ColumnInfo::new).collect();
        // As text, and row by row: the driver reads on only when the last row has been taken.
        let rows = self.inner.simple_query_raw(statement).await?;
        Ok(Some(RowStream::new(columns, rows)))
    }

    /// Takes the notices of the last statement, which has ended.
    pub(crate) fn take_notices(&self) -> Vec<String> {
        mem::take(&mut *self.notices())
    }

    fn notices(&self) -> MutexGuard<'_, Vec<String>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.inner.is_closed()
    }

    pub(crate) fn canceller(&self) -> Canceller {
        Canceller { token: self.inner.cancel_token(), route: self.route.clone() }
    }
}

/// Cancels the running statement, over a connection of its own.
pub(crate) struct Canceller {
    token: CancelToken,
    route: Route,
}

impl Canceller {
    pub(crate) async fn cancel(self) -> Result<(), ClientError> {
        match &self.route {
            Route::Socket(address) => Ok(self.token.cancel_query_raw(socket(address).await?, NoTls).await?),
            Route::Pipe(offline) => Ok(self.token.cancel_query_raw(offline.pipe(), NoTls).await?),
        }
    }
}

async fn socket(address: &str) -> Result<TcpStream, ClientError> {
    let stream = TcpStream::connect(address).await.map_err(|error| ClientError::unreachable(address, &error))?;
    // Statements are small, and waited for.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn start<S>(config: Config, stream: S, route: Route) -> Result<Client, ClientError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (inner, connection) = config.connect_raw(stream, NoTls).await?;
    let notices = Arc::default();
    tokio::spawn(listen(connection, Arc::clone(&notices)));
    Ok(Client { inner, route, notices })
}

/// Moves messages until the connection ends. A statement that waits for its answer then fails.
async fn listen<S>(mut connection: Connection<S, tokio_postgres::tls::NoTlsStream>, notices: Arc<Mutex<Vec<String>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notice(notice) = message {
            let mut notices = notices.lock().unwrap_or_else(PoisonError::into_inner);
            if notices.len() < MAX_NOTICES {
                notices.push(format!("{}: {}", notice.severity().to_lowercase(), notice.message()));
            }
        }
    }
}
