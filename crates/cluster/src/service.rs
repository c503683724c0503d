//! The cluster's port: an Arrow Flight service of three calls. `do_get` runs a fragment of a plan (`fragment`), the action "sync"
//! is an exchange (`exchange`), the action "call" goes to the SQL side.
//!
//! Authentication is `authenticator`'s. `node` starts it.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::{Error, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::authenticator::Authenticator;
use crate::channels::{MAX_MESSAGE_BYTES, TlsFiles};
use crate::fragment;
use crate::incoming::incoming;
use crate::message::{CALL, SYNC};
use crate::secret::Secret;
use crate::state::NodeState;

/// Maximum number of concurrent requests on one connection.
const MAX_STREAMS: u32 = 256;
const MAX_HEADER_BYTES: u32 = 16 << 10;
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Maximum size of one message of a long answer.
const CHUNK_BYTES: usize = 4 << 20;

/// Serves until `stop` becomes true, then waits for the running requests.
pub(crate) async fn serve(
    listener: TcpListener,
    state: Arc<NodeState>,
    secret: Option<Secret>,
    tls: Option<TlsFiles>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let counts = Arc::clone(&state.counts);
    let flight = FlightServiceServer::new(FlightEndpoint { state })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let mut builder = Server::builder();
    if let Some(tls) = &tls {
        builder = builder.tls_config(tls.server())?;
    }
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .serve_with_incoming_shutdown(
            Authenticator::new(flight, secret, Arc::clone(&counts)),
            incoming(listener, counts),
            async move { drop(stop.wait_for(|stop| *stop).await) },
        )
        .await
}

struct FlightEndpoint {
    state: Arc<NodeState>,
}

type FlightResult<T> = Result<Response<T>, Status>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for FlightEndpoint {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoExchangeStream = Stream<FlightData>;
    type DoActionStream = Stream<arrow_flight::Result>;
    type ListActionsStream = Stream<ActionType>;

    async fn do_get(&self, request: Request<Ticket>) -> FlightResult<Self::DoGetStream> {
        let rows = fragment::serve(&self.state.engine, request.into_inner().ticket).await?;
        Ok(Response::new(rows))
    }

    async fn do_action(&self, request: Request<Action>) -> FlightResult<Self::DoActionStream> {
        let Action { r#type: kind, body } = request.into_inner();
        let answer = match kind.as_str() {
            SYNC => self.state.answer_hello(&body).await?,
            CALL => {
                let answered = self.state.call(body).await;
                answered.map_err(|failure| Status::failed_precondition(failure.message))?
            }
            _ => return Err(Status::unimplemented("this version knows no such action")),
        };
        let mut rest = bytes::Bytes::from(answer);
        let mut chunks = Vec::new();
        while rest.len() > CHUNK_BYTES {
            chunks.push(rest.split_to(CHUNK_BYTES));
        }
        chunks.push(rest);
        let chunks = chunks.into_iter().map(|body| Ok(arrow_flight::Result { body }));
        Ok(Response::new(stream::iter(chunks).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> FlightResult<Self::HandshakeStream> {
        Err(unimplemented())
    }

    async fn list_flights(&self, _: Request<Criteria>) -> FlightResult<Self::ListFlightsStream> {
        Err(unimplemented())
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> FlightResult<FlightInfo> {
        Err(unimplemented())
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> FlightResult<PollInfo> {
        Err(unimplemented())
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> FlightResult<SchemaResult> {
        Err(unimplemented())
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> FlightResult<Self::DoPutStream> {
        Err(unimplemented())
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> FlightResult<Self::DoExchangeStream> {
        Err(unimplemented())
    }

    async fn list_actions(&self, _: Request<Empty>) -> FlightResult<Self::ListActionsStream> {
        Err(unimplemented())
    }
}

/// Servers of a cluster do not use the other calls of Flight.
fn unimplemented() -> Status {
    Status::unimplemented("servers of a cluster do not say this to each other")
}
