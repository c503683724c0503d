//! Connections to other servers: opened on first use, kept open, signed, and their failures in the words of `servers`.
//!
//! Callers choose the server and the timeout.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig};
use tonic::{Code, Status};

use crate::lww_map::MAX_MEMBERS;
use crate::secret::{HEADER, Secret};

/// Maximum size of one message in either direction.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes that a connection, and one answer on it, may have in flight before the reader takes them.
const CONNECTION_WINDOW: u32 = 16 << 20;
const STREAM_WINDOW: u32 = 4 << 20;
/// The name in every server's certificate. Servers are told apart by their addresses, so one certificate serves all.
const SERVER_NAME: &str = "heapql";

/// A client of one other server. Cheap to clone.
pub(crate) type PeerClient = FlightServiceClient<SignedChannel>;

/// PEM texts for mutual TLS. Each side shows the certificate and checks the other side's against the authority.
#[derive(Clone)]
pub struct TlsFiles {
    /// The certificate, for the name heapql.
    pub certificate: Vec<u8>,
    /// The certificate's private key.
    pub key: Vec<u8>,
    /// The certificate of the authority that has signed all servers' certificates.
    pub authority: Vec<u8>,
}

impl TlsFiles {
    fn client(&self) -> ClientTlsConfig {
        let identity = Identity::from_pem(&self.certificate, &self.key);
        let authority = Certificate::from_pem(&self.authority);
        ClientTlsConfig::new().ca_certificate(authority).identity(identity).domain_name(SERVER_NAME)
    }

    pub(crate) fn server(&self) -> ServerTlsConfig {
        let identity = Identity::from_pem(&self.certificate, &self.key);
        let authority = Certificate::from_pem(&self.authority);
        ServerTlsConfig::new().identity(identity).client_ca_root(authority).timeout(KEEP_ALIVE_TIMEOUT)
    }

    /// Checks that both sides of a connection can be configured with these texts. Returns the reason for a failure.
    pub fn check(&self) -> Result<(), String> {
        let any = Endpoint::from_static("https://127.0.0.1:1");
        let client = any.tls_config(self.client()).map(drop);
        let server = tonic::transport::Server::builder().tls_config(self.server()).map(drop);
        client.and(server).map_err(|error| root_cause(&error).to_string())
    }
}

/// Connections to other servers, by address.
pub(crate) struct Channels {
    secret: Option<Secret>,
    tls: Option<TlsFiles>,
    /// The runtime that serves sockets. Statements ask for clients on threads where a computation could delay heartbeats.
    runtime: Handle,
    open: Mutex<HashMap<SocketAddr, Channel>>,
}

impl Channels {
    /// Connections will be served by the runtime in which this is called.
    pub(crate) fn new(secret: Option<Secret>, tls: Option<TlsFiles>) -> Channels {
        Channels { secret, tls, runtime: Handle::current(), open: Mutex::default() }
    }

    /// A client that connects on first use, and again after the connection was lost.
    pub(crate) fn client(&self, to: SocketAddr) -> PeerClient {
        let _in_runtime = self.runtime.enter();
        let mut open = self.open.lock();
        if open.len() >= MAX_MEMBERS && !open.contains_key(&to) {
            // Clients of servers that are still members connect again.
            open.clear();
        }
        let channel = open.entry(to).or_insert_with(|| self.endpoint(to).connect_lazy()).clone();
        let signed = SignedChannel { channel, secret: self.secret.clone() };
        FlightServiceClient::new(signed)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Drops the connection to a server that is no longer a member.
    pub(crate) fn forget(&self, server: SocketAddr) {
        self.open.lock().remove(&server);
    }

    fn endpoint(&self, to: SocketAddr) -> Endpoint {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        // SANITY: an address is a valid authority, and the TLS configuration was checked at the start.
        let endpoint = Endpoint::from_shared(format!("{scheme}://{to}")).expect("an address is a valid authority");
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.client()).expect("it was checked"),
            None => endpoint,
        }
    }
}

/// A channel that signs requests with the cluster's secret, and checks the proofs of the answers.
#[derive(Clone)]
pub(crate) struct SignedChannel {
    channel: Channel,
    secret: Option<Secret>,
}

impl Service<http::Request<Body>> for SignedChannel {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Self::Response, Status>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.channel.poll_ready(context).map_err(|error| unavailable(&error))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let expected = self.secret.as_ref().map(|secret| {
            let (proof, expected) = secret.sign(request.uri().path());
            request.headers_mut().insert(HEADER, proof);
            expected
        });
        let answer = self.channel.call(request);
        async move {
            let answer = answer.await.map_err(|error| unavailable(&error))?;
            let status = Status::from_header_map(answer.headers());
            if let Some(refused) = status.filter(|status| status.code() == Code::Unauthenticated) {
                let why = if refused.message().is_empty() { "wrong secret" } else { refused.message() };
                return Err(Status::unauthenticated(why));
            }
            match expected {
                Some(expected) if !expected.is_met(answer.headers().get(HEADER)) => {
                    Err(Status::unauthenticated("wrong secret"))
                }
                _ => Ok(answer),
            }
        }
        .boxed()
    }
}

/// The status for a failed connection, with the reason that `servers` shows.
fn unavailable(error: &tonic::transport::Error) -> Status {
    let cause = root_cause(error);
    if cause.is::<tonic::TimeoutExpired>() {
        return Status::deadline_exceeded("no answer in time");
    }
    let why = match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "refused the connection".to_owned(),
        Some(io::ErrorKind::TimedOut) => "no answer to the connection".to_owned(),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "cannot be reached".to_owned(),
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted,
        ) => "closed the connection".to_owned(),
        _ => format!("the connection failed: {cause}"),
    };
    Status::unavailable(why)
}

/// The last of a chain of errors, which tells what happened.
fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last
}

/// The reason that a status gives.
pub(crate) fn reason(status: &Status) -> String {
    match status.message() {
        "" => format!("it answered: {}", status.code().description()),
        message => message.to_owned(),
    }
}
