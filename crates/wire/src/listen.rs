//! The accept loop of all protocols: binding, the bound on connections, one task each, and the orderly end. It speaks
//! no protocol itself. The command line calls it.

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
use crate::link::{Halves, Link};
use crate::mysql::Mysql;
use crate::postgres::Postgres;

/// From accept to a session.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client is given to read why it was not let in.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Clients being refused at a time; those beyond are dropped without a word.
const MAX_REFUSALS: usize = 32;
/// How long running statements are given to end at shutdown.
const GRACE: Duration = Duration::from_secs(3);
/// Idle clients that vanished without a word are noticed by the kernel.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The bound sockets, before anything is served on them: the server's own address is part of its rows, so binding comes
/// first.
#[derive(Default)]
pub struct Listeners {
    mysql: Option<TcpListener>,
    postgres: Option<TcpListener>,
    http: Option<TcpListener>,
}

impl Listeners {
    /// Binds one protocol to `host:port` (port 0: the kernel picks) and returns the address it got. Refuses anything
    /// but loopback unless there is a password.
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

    /// Where the MySQL protocol is served.
    pub fn mysql(&self) -> Option<SocketAddr> {
        self.mysql.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where the PostgreSQL protocol is served.
    pub fn postgres(&self) -> Option<SocketAddr> {
        self.postgres.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where HTTP is served.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `shutdown` becomes true or its sender is dropped; then idle clients are told, running statements
    /// are cancelled, and after 3 s at most everything is closed.
    pub async fn serve(self, engine: Arc<Engine>, mut shutdown: watch::Receiver<bool>) {
        let mut hall = info_span!("listen").in_scope(|| Hall {
            mysql: Arc::new(Mysql::new(Arc::clone(&engine))),
            postgres: Arc::new(Postgres::new(Arc::clone(&engine))),
            http: Arc::new(Http::new(Arc::clone(&engine), self.http())),
            engine,
            shutdown: shutdown.clone(),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
            tasks: JoinSet::new(),
        });
        // The server has recorded its own start in full.
        hall.engine.server().put_in_force();
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(ended) = hall.tasks.join_next() => report(ended),
                accepted = accept(self.mysql.as_ref()) => hall.enter(Protocol::MySql, accepted).await,
                accepted = accept(self.postgres.as_ref()) => hall.enter(Protocol::Postgres, accepted).await,
                accepted = accept(self.http.as_ref()) => hall.enter(Protocol::Http, accepted).await,
            }
        }
        drop(self);
        hall.leave().await;
    }
}

/// One conversation in the PostgreSQL protocol over a pipe inside this process, until its other end is closed. No socket
/// is involved, so that nobody else can take part.
pub async fn converse(engine: Arc<Engine>, stream: DuplexStream) {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let Ok(slot) = engine.server().connections().admit(&peer.to_string()) else {
        return;
    };
    let (_never, shutdown) = watch::channel(false);
    let (read, write) = split(stream);
    let link = Link::new((Box::new(read), Box::new(write)), peer, Some(slot), shutdown);
    Postgres::new(engine).serve(link).await;
}

fn halves(stream: TcpStream) -> Halves {
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

/// Who is inside.
struct Hall {
    engine: Arc<Engine>,
    mysql: Arc<Mysql>,
    postgres: Arc<Postgres>,
    http: Arc<Http>,
    shutdown: watch::Receiver<bool>,
    refusals: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Hall {
    async fn enter(&mut self, protocol: Protocol, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => self.admit(protocol, stream, peer),
            Err(error) => {
                // Out of descriptors, most likely: accept would fail again at once, for ever.
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
                Protocol::MySql => mysql.serve(Link::new(halves(stream), peer, Some(slot), shutdown)).await,
                Protocol::Postgres => postgres.serve(Link::new(halves(stream), peer, Some(slot), shutdown)).await,
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
                let link = |stream| Link::new(halves(stream), peer, None, shutdown);
                match protocol {
                    Protocol::MySql => Mysql::refuse(link(stream), &message).await,
                    Protocol::Postgres => Postgres::refuse(link(stream), &engine, &message).await,
                    Protocol::Http => Http::refuse(stream, &message).await,
                }
            };
            let _ = timeout(REFUSAL_TIMEOUT, refusal).await;
            drop(permit);
        });
    }

    async fn leave(mut self) {
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

/// A panic is a defect of ours and ends its own connection only.
fn report(ended: Result<(), JoinError>) {
    if let Err(defect) = ended
        && defect.is_panic()
    {
        error!("a connection ended by a defect of the server: {defect}");
    }
}
