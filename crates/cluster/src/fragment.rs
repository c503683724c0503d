//! A piece of a plan between servers: written for the wire, run for another server, its rows read back.
//!
//! After the last row comes how many there were and what the server wants to be known; without it the answer is not whole,
//! and counts for nothing. `spread` decides which pieces there are, `gather` asks for them, `service` serves them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, Ticket};
use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::ipc::CompressionType;
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use heapql_server::{Failure, FailureKind, Warning};
use heapql_sql::{Engine, RemoteContext};
use heapql_tables::remote;
use parking_lot::Mutex;
use prost::Message;
use serde::{Deserialize, Serialize};
use tonic::{Code, Request, Status};

use crate::channels::Channels;
use crate::spread;

/// After its deadline a server may still compute an answer that nobody wants.
const GRACE: Duration = Duration::from_secs(1);

/// Scans as the catalog writes them; everything else as the engine does.
struct Codec(Option<RemoteContext>);

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codec")
    }
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        text: &[u8],
        _: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match &self.0 {
            Some(guest) => guest.scan(text),
            None => Err(DataFusionError::Internal("a piece is read by a server only".to_owned())),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        text: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let written = remote::encode(node.as_ref())
            .ok_or_else(|| DataFusionError::NotImplemented(format!("{} does not travel", node.name())))?;
        text.extend_from_slice(&written);
        Ok(())
    }
}

/// A piece for the wire, if all its nodes and expressions can be written.
pub(crate) fn encode(piece: &Arc<dyn ExecutionPlan>) -> Result<Bytes> {
    physical_plan_to_bytes_with_extension_codec(Arc::clone(piece), &Codec(None))
}

/// The end of an answer.
#[derive(Serialize, Deserialize)]
struct End {
    rows: usize,
    warnings: Vec<Told>,
}

#[derive(Serialize, Deserialize)]
struct Told {
    is_note: bool,
    kind: FailureKind,
    message: String,
}

impl Told {
    fn of(Warning { level, kind, message }: Warning) -> Told {
        Told { is_note: level == "Note", kind, message }
    }

    fn warning(self) -> Warning {
        let level = if self.is_note { "Note" } else { "Warning" };
        Warning { level, kind: self.kind, message: self.message }
    }
}

/// A statement's own error, on its way: it would fail here too.
#[derive(Serialize, Deserialize)]
struct Wrong {
    kind: FailureKind,
    message: String,
    hint: Option<String>,
}

fn failed(error: DataFusionError) -> Status {
    let Failure { kind, message, hint } = Failure::from_datafusion(error);
    let details = serde_json::to_vec(&Wrong { kind, message: message.clone(), hint }).unwrap_or_default();
    Status::with_details(Code::Aborted, message, details.into())
}

/// Runs the piece that a ticket holds: its rows, then the end.
pub(crate) async fn serve(
    engine: &Arc<Engine>,
    ticket: Bytes,
) -> Result<BoxStream<'static, Result<FlightData, Status>>, Status> {
    let guest = RemoteContext::new(engine).map_err(|failure| failed(failure.into()))?;
    let context = guest.context();
    let codec = Codec(Some(guest));
    // Not the statement's fault: this server lacks a mark, or is of another version.
    let piece = physical_plan_from_bytes_with_extension_codec(&ticket, &context, &codec)
        .map_err(|error| Status::failed_precondition(Failure::from_datafusion(error).message))?;
    let is_scan = |leaf: &dyn ExecutionPlan| remote::is_scan(leaf);
    if !spread::is_piece(&piece, is_scan).map_err(failed)? {
        return Err(Status::permission_denied("a piece of a plan scans tables and nothing else"));
    }
    let rows = execute_stream(piece, context).map_err(failed)?;
    let schema = rows.schema();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let rows = rows.map(move |batch| {
        let batch = batch.and_then(|batch| compact(&batch)).map_err(|error| FlightError::from(failed(error)))?;
        *counted.lock() += batch.num_rows();
        Ok(batch)
    });
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
    let options = options.map_err(|error| failed(error.into()))?;
    let data = FlightDataEncoderBuilder::new().with_schema(schema).with_options(options).build(rows);
    let data = data.map(|data| {
        data.map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => Status::internal(other.to_string()),
        })
    });
    let end = stream::once(async move {
        let warnings = codec.0.map(|guest| guest.warnings()).unwrap_or_default().into_iter().map(Told::of).collect();
        let end = serde_json::to_vec(&End { rows: *count.lock(), warnings });
        let end = end.map_err(|error| Status::internal(error.to_string()))?;
        Ok(FlightData { app_metadata: end.into(), ..FlightData::default() })
    });
    Ok(data.chain(end).boxed())
}

/// Without what filters and limits have left in its buffers: those would all cross the wire.
fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let column = |array: &ArrayRef| -> ArrayRef {
        match array.data_type() {
            DataType::Utf8View => Arc::new(array.as_string_view().gc()),
            DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
            _ => Arc::clone(array),
        }
    };
    let columns = batch.columns().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

/// A server's whole answer.
pub(crate) struct Fetched {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) warnings: Vec<Warning>,
    /// On the wire.
    pub(crate) bytes: usize,
}

/// Why there is none.
pub(crate) enum Refused {
    /// It cannot be reached, or its answer broke off.
    Lost(String),
    /// It has answered, but it cannot do its part.
    Unable(String),
    /// It is still silent at the deadline.
    Late,
    /// The statement is wrong, or too large: no server is missing.
    Failed(DataFusionError),
}

/// What a stream has told besides rows.
#[derive(Default)]
struct Aside {
    end: Option<Bytes>,
    bytes: usize,
}

/// Asks a server for the rows of a piece.
pub(crate) async fn fetch(
    channels: &Channels,
    from: SocketAddr,
    fragment: Bytes,
    within: Duration,
    memory: &MemoryReservation,
) -> Result<Fetched, Refused> {
    let mut request = Request::new(Ticket { ticket: fragment });
    // For the other side, should it not hear that nobody waits any more. Here `gather` watches the time.
    request.set_timeout(within + GRACE);
    let data = channels.client(from).do_get(request).await.map_err(|status| refused(from, &status))?;
    read(from, data.into_inner(), memory).await
}

/// What [`serve`] gives, from the other end.
pub(crate) async fn read(
    from: SocketAddr,
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    memory: &MemoryReservation,
) -> Result<Fetched, Refused> {
    let aside = Arc::new(Mutex::new(Aside::default()));
    let mut rows = FlightRecordBatchStream::new_from_flight_data(data.filter_map(taking_aside(Arc::clone(&aside))));
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| match error {
            FlightError::Tonic(status) => refused(from, &status),
            other => Refused::Lost(format!("its answer cannot be read: {other}")),
        })?;
        memory.try_grow(batch.get_array_memory_size()).map_err(Refused::Failed)?;
        batches.push(batch);
    }
    let Aside { end, bytes } = std::mem::take(&mut *aside.lock());
    let end = end.and_then(|end| serde_json::from_slice::<End>(&end).ok());
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    match end {
        Some(end) if end.rows == count => {
            Ok(Fetched { batches, warnings: end.warnings.into_iter().map(Told::warning).collect(), bytes })
        }
        _ => Err(Refused::Lost("its answer broke off".to_owned())),
    }
}

/// Counts what comes, and keeps the end from the reader of rows.
fn taking_aside(
    aside: Arc<Mutex<Aside>>,
) -> impl FnMut(Result<FlightData, Status>) -> std::future::Ready<Option<Result<FlightData, FlightError>>> {
    move |data| {
        let passed = match data {
            Ok(data) => {
                let mut aside = aside.lock();
                aside.bytes += data.encoded_len();
                if data.data_header.is_empty() {
                    aside.end = Some(data.app_metadata);
                    None
                } else {
                    Some(Ok(data))
                }
            }
            Err(status) => Some(Err(FlightError::from(status))),
        };
        std::future::ready(passed)
    }
}

pub(crate) fn refused(from: SocketAddr, status: &Status) -> Refused {
    match status.code() {
        Code::Aborted => match serde_json::from_slice::<Wrong>(status.details()) {
            Ok(Wrong { kind, message, hint }) => {
                Refused::Failed(Failure { kind, message: format!("server {from}: {message}"), hint }.into())
            }
            Err(_) => Refused::Lost(status.message().to_owned()),
        },
        Code::FailedPrecondition => Refused::Unable(status.message().to_owned()),
        Code::DeadlineExceeded | Code::Cancelled => Refused::Late,
        _ => Refused::Lost(crate::channels::why(status)),
    }
}
