//! The cluster's port: Arrow Flight, of which three calls are spoken. `do_get` runs a piece of a plan (`fragment`), the
//! action "sync" is an exchange (`exchange`), the action "call" is the catalog's own. Who may ask is `gate`'s to say.

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

use crate::channels::{MAX_MESSAGE_BYTES, Tls};
use crate::fragment;
use crate::gate::Gate;
use crate::incoming::incoming;
use crate::message::{CALL, SYNC};
use crate::secret::Secret;
use crate::state::State;

/// Requests at once on one connection.
const MAX_STREAMS: u32 = 256;
const MAX_HEADER_BYTES: u32 = 16 << 10;
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The parts of an answer that may be large.
const PART_BYTES: usize = 4 << 20;

/// Serves until `stop` says so, then ends what runs.
pub(crate) async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    secret: Option<Secret>,
    tls: Option<Tls>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let counts = Arc::clone(&state.counts);
    let flight = FlightServiceServer::new(Service { state })
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
            Gate::new(flight, secret, Arc::clone(&counts)),
            incoming(listener, counts),
            async move { drop(stop.wait_for(|stop| *stop).await) },
        )
        .await
}

struct Service {
    state: Arc<State>,
}

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoExchangeStream = Stream<FlightData>;
    type DoActionStream = Stream<arrow_flight::Result>;
    type ListActionsStream = Stream<ActionType>;

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let rows = fragment::serve(&self.state.engine, request.into_inner().ticket).await?;
        Ok(Response::new(rows))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        let Action { r#type: kind, body } = request.into_inner();
        let answer = match kind.as_str() {
            SYNC => self.state.answer(&body).await?,
            CALL => {
                let answered = self.state.call(body).await;
                answered.map_err(|failure| Status::failed_precondition(failure.message))?
            }
            _ => return Err(Status::unimplemented("this version knows no such action")),
        };
        let mut rest = bytes::Bytes::from(answer);
        let mut parts = Vec::new();
        while rest.len() > PART_BYTES {
            parts.push(rest.split_to(PART_BYTES));
        }
        parts.push(rest);
        let parts = parts.into_iter().map(|body| Ok(arrow_flight::Result { body }));
        Ok(Response::new(stream::iter(parts).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        Err(unspoken())
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        Err(unspoken())
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        Err(unspoken())
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        Err(unspoken())
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        Err(unspoken())
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        Err(unspoken())
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        Err(unspoken())
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        Err(unspoken())
    }
}

fn unspoken() -> Status {
    Status::unimplemented("servers of a cluster do not say this to each other")
}
