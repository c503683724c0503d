//! A piece of a plan between servers: written for the wire, read from it, and run for another server.

use std::sync::Arc;

use arrow_flight::FlightData;
use bytes::Bytes;
use futures::stream::BoxStream;
use heapql_catalog::Server;
use tonic::Status;

/// Runs the piece that a ticket holds: its rows, then what the server wants to be known.
pub(crate) async fn serve(
    _server: &Arc<Server>,
    _ticket: Bytes,
) -> Result<BoxStream<'static, Result<FlightData, Status>>, Status> {
    Err(Status::unimplemented("not yet"))
}
