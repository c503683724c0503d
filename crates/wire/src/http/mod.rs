//! HTTP/1.1: pictures and files of the heap, metrics, and queries by URL. Every answer comes from SQL through a session, so that guards,
//! time limits and warnings are those of the other protocols.
//!
//! ```text
//! access         password, host names   route   paths and parameters    reply           status, headers, errors
//! write_timeout  stalled clients        query   one statement's rows    page, metrics   pages made of rows
//! ```
//!
//! hyper reads and writes the messages. Left out: TLS, HTTP/2, compression, cookies. Called by `listen`.

mod access;
mod metrics;
mod page;
mod query;
mod reply;
mod route;
mod write_timeout;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use heapql_server::Slot;
use heapql_sql::Engine;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::limits::LOGIN_TIMEOUT;
use access::AccessPolicy;
use query::QueryClient;
use reply::Body;
use write_timeout::WriteTimeout;

/// Maximum size of a request's line and headers.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

pub(crate) struct Http {
    engine: Arc<Engine>,
    access: AccessPolicy,
}

impl Http {
    /// `bound` is the address that is listened on.
    pub(crate) fn new(engine: Arc<Engine>, bound: Option<SocketAddr>) -> Http {
        let is_local = bound.is_some_and(|address| address.ip().to_canonical().is_loopback());
        let access = AccessPolicy::new(engine.server().password().map(str::to_owned), is_local);
        Http { engine, access }
    }

    /// Answers the requests of a connection, one after the other.
    pub(crate) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Slot,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let id = slot.id();
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string();
        let http = Arc::clone(&self);
        let answer = service_fn(move |request| {
            let (http, peer) = (Arc::clone(&http), peer.clone());
            async move { Ok::<_, Infallible>(http.answer(request, peer, id).await) }
        });
        // The timer runs while a connection is idle, too.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(LOGIN_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(WriteTimeout::new(stream)), answer);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = slot.killed() => return,
            () = stopping(&mut shutdown) => {
                connection.as_mut().graceful_shutdown();
                self.engine.server().connections().cancel(id);
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "the connection broke");
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: String, connection_id: u32) -> Response<Body> {
        let line = format!("{} {}", request.method(), request.uri().path());
        let answer = match self.access.check(&request) {
            Ok(()) => {
                let client = QueryClient { engine: Arc::clone(&self.engine), peer, connection_id };
                route::answer(request, client).await
            }
            Err(refusal) => *refusal,
        };
        info!(status = answer.status().as_u16(), "{line}");
        answer
    }

    /// Refuses a client because there are too many.
    pub(crate) async fn refuse(mut stream: TcpStream, message: &str) {
        let head =
            "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n";
        let text = format!("{head}content-length: {}\r\n\r\n{message}\n", message.len() + 1);
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

/// Waits for the shutdown. A sender that is gone has ended with its server.
async fn stopping(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}
