//! A client of a server, in the PostgreSQL protocol: the running one, another one, or one inside this process that reads
//! the ledgers. All three answer alike, since all of them go through the same protocol.
//!
//! It prints nothing. Called by `sql`, `set`, `top` and the pictures.

mod answer;
mod failed;
mod offline;
mod whom;

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, CancelToken, Config, Connection, NoTls};

pub(crate) use answer::{Answer, Column};
pub(crate) use failed::Failed;
pub(crate) use whom::{Whom, password};

use offline::Offline;

/// To a server that does not answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Of one statement; the server sends no more either.
const MAX_NOTICES: usize = 100;

pub(crate) struct Client {
    inner: tokio_postgres::Client,
    way: Way,
    notices: Arc<Mutex<Vec<String>>>,
}

/// How another connection to the same server comes about.
#[derive(Clone)]
enum Way {
    Socket(String),
    Pipe(Offline),
}

impl Client {
    pub(crate) async fn connect(whom: &Whom, password: Option<&str>) -> Result<Client, Failed> {
        let mut config = Config::new();
        config.user("root").dbname("oceanbase").application_name("heapql");
        if let Some(password) = password {
            config.password(password);
        }
        match whom {
            Whom::Server { address } => {
                let way = Way::Socket(address.clone());
                let opened = timeout(CONNECT_WITHIN, async { start(config, socket(address).await?, way).await }).await;
                opened.unwrap_or_else(|_| Err(Failed::no_answer(address, CONNECT_WITHIN)))
            }
            Whom::Ledgers(root) => {
                let offline = Offline::open(root)?;
                start(config, offline.pipe(), Way::Pipe(offline)).await
            }
        }
    }

    /// Runs one statement. `None`: it has no rows, and is done.
    pub(crate) async fn ask(&self, statement: &str) -> Result<Option<Answer>, Failed> {
        let prepared = self.inner.prepare(statement).await?;
        self.notices().clear();
        if prepared.columns().is_empty() {
            self.inner.batch_execute(statement).await?;
            return Ok(None);
        }
        let columns = prepared.columns().iter().map(Column::of).collect();
        // As text, and row by row: the driver reads on only when the last row has been taken.
        let rows = self.inner.simple_query_raw(statement).await?;
        Ok(Some(Answer::new(columns, rows)))
    }

    /// What the server had to say about the last statement, which has ended.
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
        Canceller { token: self.inner.cancel_token(), way: self.way.clone() }
    }
}

/// Stops the running statement, over a connection of its own.
pub(crate) struct Canceller {
    token: CancelToken,
    way: Way,
}

impl Canceller {
    pub(crate) async fn cancel(self) -> Result<(), Failed> {
        match &self.way {
            Way::Socket(address) => Ok(self.token.cancel_query_raw(socket(address).await?, NoTls).await?),
            Way::Pipe(offline) => Ok(self.token.cancel_query_raw(offline.pipe(), NoTls).await?),
        }
    }
}

async fn socket(address: &str) -> Result<TcpStream, Failed> {
    let stream = TcpStream::connect(address).await.map_err(|error| Failed::unreachable(address, &error))?;
    // Statements are small, and waited for.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn start<S>(config: Config, stream: S, way: Way) -> Result<Client, Failed>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (inner, connection) = config.connect_raw(stream, NoTls).await?;
    let notices = Arc::default();
    tokio::spawn(listen(connection, Arc::clone(&notices)));
    Ok(Client { inner, way, notices })
}

/// Moves messages until the connection ends, which the statement that waits for an answer is told.
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
