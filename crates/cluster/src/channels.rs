//! Connections to other servers: made when they are needed, kept, signed, and their failures in plain words. Who is asked
//! and for how long is the caller's business.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig};
use tonic::{Code, Status};

use crate::registers::MAX_MEMBERS;
use crate::secret::{HEADER, Secret};

/// Of one message, either way.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const ALIVE_WITHIN: Duration = Duration::from_secs(3);
/// What may be under way on a connection, and in one answer on it, before the reader has read it.
const CONNECTION_WINDOW: u32 = 16 << 20;
const STREAM_WINDOW: u32 = 4 << 20;
/// One certificate serves all servers: they are told apart by their addresses, not by names.
const SERVER_NAME: &str = "heapql";

/// What speaks to one other server. Cheap to clone.
pub(crate) type Client = FlightServiceClient<Signed>;

/// PEM texts. Both sides show the certificate, and both check the other's against the authority's.
#[derive(Clone)]
pub struct Tls {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    pub authority: Vec<u8>,
}

impl Tls {
    fn client(&self) -> ClientTlsConfig {
        let identity = Identity::from_pem(&self.certificate, &self.key);
        let authority = Certificate::from_pem(&self.authority);
        ClientTlsConfig::new().ca_certificate(authority).identity(identity).domain_name(SERVER_NAME)
    }

    pub(crate) fn server(&self) -> ServerTlsConfig {
        let identity = Identity::from_pem(&self.certificate, &self.key);
        let authority = Certificate::from_pem(&self.authority);
        ServerTlsConfig::new().identity(identity).client_ca_root(authority).timeout(ALIVE_WITHIN)
    }

    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), String> {
        let any = Endpoint::from_static("https://127.0.0.1:1");
        let client = any.tls_config(self.client()).map(drop);
        let server = tonic::transport::Server::builder().tls_config(self.server()).map(drop);
        client.and(server).map_err(|error| cause(&error).to_string())
    }
}

/// Connections by address.
pub(crate) struct Channels {
    secret: Option<Secret>,
    tls: Option<Tls>,
    open: Mutex<HashMap<SocketAddr, Channel>>,
}

impl Channels {
    pub(crate) fn new(secret: Option<Secret>, tls: Option<Tls>) -> Channels {
        Channels { secret, tls, open: Mutex::default() }
    }

    /// Connects when it is first used, and again when the connection was lost. Inside a runtime only.
    pub(crate) fn client(&self, to: SocketAddr) -> Client {
        let mut open = self.open.lock();
        if open.len() >= MAX_MEMBERS && !open.contains_key(&to) {
            // Whoever is still a member is connected to again.
            open.clear();
        }
        let channel = open.entry(to).or_insert_with(|| self.endpoint(to).connect_lazy()).clone();
        let signed = Signed { channel, secret: self.secret.clone() };
        FlightServiceClient::new(signed)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// A server is no member any more.
    pub(crate) fn forget(&self, server: SocketAddr) {
        self.open.lock().remove(&server);
    }

    fn endpoint(&self, to: SocketAddr) -> Endpoint {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        // SANITY: an address is a valid authority, and the TLS configuration was checked at the start.
        let endpoint = Endpoint::from_shared(format!("{scheme}://{to}")).expect("an address is a valid authority");
        let endpoint = endpoint
            .connect_timeout(CONNECT_WITHIN)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(ALIVE_WITHIN)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.client()).expect("it was checked"),
            None => endpoint,
        }
    }
}

/// A channel whose requests prove that they come from a server of the cluster, and whose answers must do the same.
#[derive(Clone)]
pub(crate) struct Signed {
    channel: Channel,
    secret: Option<Secret>,
}

impl Service<http::Request<Body>> for Signed {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Self::Response, Status>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.channel.poll_ready(context).map_err(|error| plain(&error))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let expected = self.secret.as_ref().map(|secret| {
            let (proof, expected) = secret.sign(request.uri().path());
            request.headers_mut().insert(HEADER, proof);
            expected
        });
        let answer = self.channel.call(request);
        async move {
            let answer = answer.await.map_err(|error| plain(&error))?;
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

/// Why a server could not be asked, in the words of `servers`.
fn plain(error: &tonic::transport::Error) -> Status {
    let cause = cause(error);
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

/// The last of a chain of errors: what happened, not what it was for.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last
}

/// What is wrong with a server that answered so.
pub(crate) fn why(status: &Status) -> String {
    match status.message() {
        "" => format!("it answered: {}", status.code().description()),
        message => message.to_owned(),
    }
}
