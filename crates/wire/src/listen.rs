//! The accept loop of all protocols: binding, the limit on connections, one task per connection, and the shutdown. It speaks no
//! protocol itself. The command line calls it.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use heapql_server::Slot;
use heapql_sql::Engine;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{DuplexStream, split};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{Instrument, debug, error, info_span, warn};

use crate::address::{BindError, Protocol, check_bind};
use crate::http::Http;
use crate::mysql::Mysql;
use crate::postgres::Postgres;
use crate::transport::{StreamHalves, Transport};

/// Time that a refused client gets to read the reason.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of clients that are being refused at a time. Further ones are dropped without an answer.
const MAX_REFUSALS: usize = 32;
/// Time that running statements get to end at shutdown.
const GRACE: Duration = Duration::from_secs(3);
/// Idle time after which the kernel probes whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The bound sockets, before anything is served on them. Binding comes first because the server's address is part of its rows.
#[derive(Default)]
pub struct Listeners {
    mysql: Option<TcpListener>,
    postgres: Option<TcpListener>,
    http: Option<TcpListener>,
}

impl Listeners {
    /// Binds one protocol to `host:port` (port 0: the kernel picks) and returns the bound address. Refuses all but loopback
    /// addresses unless there is a password.
    pub async fn bind(
        &mut self,
        protocol: Protocol,
        address: &str,
        has_password: bool,
    ) -> Result<SocketAddr, BindError> {
        let address = resolve(protocol, address).await?;
        check_bind(address, has_password)?;
        let listen = |source| BindError::Listen { protocol, address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        *match protocol {
            Protocol::MySql => &mut self.mysql,
            Protocol::Postgres => &mut self.postgres,
            Protocol::Http => &mut self.http,
        } = Some(listener);
        Ok(bound)
    }

    /// The bound address of the MySQL protocol.
    pub fn mysql(&self) -> Option<SocketAddr> {
        self.mysql.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The bound address of the PostgreSQL protocol.
    pub fn postgres(&self) -> Option<SocketAddr> {
        self.postgres.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The bound address of HTTP.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `shutdown` becomes true or its sender is dropped. Then idle clients are told, running statements are cancelled,
    /// and every connection is closed after 3 s at most.
    pub async fn serve(self, engine: Arc<Engine>, mut shutdown: watch::Receiver<bool>) {
        let mut acceptor = info_span!("listen").in_scope(|| Acceptor {
            mysql: Arc::new(Mysql::new(Arc::clone(&engine))),
            postgres: Arc::new(Postgres::new(Arc::clone(&engine))),
            http: Arc::new(Http::new(Arc::clone(&engine), self.http())),
            engine,
            shutdown: shutdown.clone(),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
            tasks: JoinSet::new(),
        });
        // Until here the server has recorded its own allocations in full.
        acceptor.engine.server().put_in_force();
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(ended) = acceptor.tasks.join_next() => report(ended),
                accepted = accept(self.mysql.as_ref()) => acceptor.handle(Protocol::MySql, accepted).await,
                accepted = accept(self.postgres.as_ref()) => acceptor.handle(Protocol::Postgres, accepted).await,
                accepted = accept(self.http.as_ref()) => acceptor.handle(Protocol::Http, accepted).await,
            }
        }
        drop(self);
        acceptor.drain().await;
    }
}

/// Serves one client in the PostgreSQL protocol over a pipe inside this process, until the client closes it. No other process can
/// reach the pipe.
pub async fn serve_pipe(engine: Arc<Engine>, stream: DuplexStream) {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let Ok(slot) = engine.server().connections().admit(&peer.to_string()) else {
        return;
    };
    let (_never, shutdown) = watch::channel(false);
    let (read, write) = split(stream);
    let transport = Transport::new((Box::new(read), Box::new(write)), peer, Some(slot), shutdown);
    Postgres::new(engine).serve(transport).await;
}

fn halves(stream: TcpStream) -> StreamHalves {
    let (read, write) = stream.into_split();
    (Box::new(read), Box::new(write))
}

async fn resolve(protocol: Protocol, address: &str) -> Result<SocketAddr, BindError> {
    let failed = |source| BindError::Resolve { protocol, address: address.to_owned(), source };
    let mut found = lookup_host(address).await.map_err(failed)?;
    found.next().ok_or_else(|| failed(io::Error::new(io::ErrorKind::NotFound, "no such host")))
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => pending().await,
    }
}

/// The tasks of all connections, and what new ones need.
struct Acceptor {
    engine: Arc<Engine>,
    mysql: Arc<Mysql>,
    postgres: Arc<Postgres>,
    http: Arc<Http>,
    shutdown: watch::Receiver<bool>,
    refusals: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Acceptor {
    async fn handle(&mut self, protocol: Protocol, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => self.admit(protocol, stream, peer),
            Err(error) => {
                // Most likely the process is out of descriptors, and accept would fail again at once.
                warn!(protocol = protocol.name(), %error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn admit(&mut self, protocol: Protocol, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = prepare(&stream) {
            debug!(%peer, %error, "the connection was gone at once");
            return;
        }
        match self.engine.server().connections().admit(&peer.to_string()) {
            Ok(slot) => self.serve(protocol, stream, peer, slot),
            Err(failure) => {
                warn!(protocol = protocol.name(), %peer, "refused: {failure}");
                self.refuse(protocol, stream, peer, failure.message);
            }
        }
    }

    fn serve(&mut self, protocol: Protocol, stream: TcpStream, peer: SocketAddr, slot: Slot) {
        let span =
            info_span!("connection", protocol = protocol.name(), %peer, id = slot.id(), user = tracing::field::Empty);
        let shutdown = self.shutdown.clone();
        let (mysql, postgres, http) = (Arc::clone(&self.mysql), Arc::clone(&self.postgres), Arc::clone(&self.http));
        let work = async move {
            match protocol {
                Protocol::MySql => mysql.serve(Transport::new(halves(stream), peer, Some(slot), shutdown)).await,
                Protocol::Postgres => postgres.serve(Transport::new(halves(stream), peer, Some(slot), shutdown)).await,
                Protocol::Http => http.serve(stream, peer, slot, shutdown).await,
            }
        };
        self.tasks.spawn(work.instrument(span));
    }

    fn refuse(&mut self, protocol: Protocol, stream: TcpStream, peer: SocketAddr, message: String) {
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            return;
        };
        let shutdown = self.shutdown.clone();
        let engine = Arc::clone(&self.engine);
        self.tasks.spawn(async move {
            let refusal = async {
                let transport = |stream| Transport::new(halves(stream), peer, None, shutdown);
                match protocol {
                    Protocol::MySql => Mysql::refuse(transport(stream), &message).await,
                    Protocol::Postgres => Postgres::refuse(transport(stream), &engine, &message).await,
                    Protocol::Http => Http::refuse(stream, &message).await,
                }
            };
            let _ = timeout(REFUSAL_TIMEOUT, refusal).await;
            drop(permit);
        });
    }

    /// Waits for the connections to end, and drops those that do not.
    async fn drain(mut self) {
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                report(ended);
            }
        };
        if timeout(GRACE, all).await.is_err() {
            warn!("{} connections did not end in {GRACE:?} and are dropped", self.tasks.len());
            self.tasks.shutdown().await;
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

/// Logs a panic. It is a defect of this crate and ends its own connection only.
fn report(ended: Result<(), JoinError>) {
    if let Err(defect) = ended
        && defect.is_panic()
    {
        error!("a connection ended by a defect of the server: {defect}");
    }
}
