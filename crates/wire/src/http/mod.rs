//! HTTP/1.1: pictures and files of the heap, metrics, and queries by URL. Everything it answers is SQL through a session
//! of the catalog, so that guards, time limits and warnings are those of the other protocols.
//!
//! ```text
//! gate    who may ask         route   which answer         reply    status, headers, errors
//! patient stalled clients     query   one statement's rows  page, metrics   what is made of them
//! ```
//!
//! hyper reads and writes the messages. Left out: TLS, HTTP/2, compression, cookies. Called by `listen`.

mod gate;
mod metrics;
mod page;
mod patient;
mod query;
mod reply;
mod route;

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

use crate::listen::LOGIN_TIMEOUT;
use gate::Gate;
use patient::Patient;
use query::Asker;
use reply::Body;

/// Of a request's line and headers.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

pub(crate) struct Http {
    engine: Arc<Engine>,
    gate: Gate,
}

impl Http {
    /// `bound` is where it listens.
    pub(crate) fn new(engine: Arc<Engine>, bound: Option<SocketAddr>) -> Http {
        let is_local = bound.is_some_and(|address| address.ip().to_canonical().is_loopback());
        let gate = Gate::new(engine.server().password().map(str::to_owned), is_local);
        Http { engine, gate }
    }

    /// All requests of a connection, one after the other.
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
            .serve_connection(TokioIo::new(Patient::new(stream)), answer);
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
        let answer = match self.gate.check(&request) {
            Ok(()) => {
                let asker = Asker { engine: Arc::clone(&self.engine), peer, connection_id };
                route::answer(request, asker).await
            }
            Err(refusal) => *refusal,
        };
        info!(status = answer.status().as_u16(), "{line}");
        answer
    }

    /// Says why there is no place.
    pub(crate) async fn refuse(mut stream: TcpStream, message: &str) {
        let head =
            "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n";
        let text = format!("{head}content-length: {}\r\n\r\n{message}\n", message.len() + 1);
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

/// A sender that is gone can never ask for a shutdown; its server is gone too.
async fn stopping(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}
