//! A fragment of a plan on the wire: encoded for another server, run for another server, its rows decoded.
//!
//! A trailer follows the last row. It holds the number of rows and the server's warnings; an answer without it is incomplete and
//! is discarded. `spread` chooses the fragments, `gather` fetches their rows, `service` serves them.

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
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use heapql_server::{Failure, FailureKind, Level, Warning};
use heapql_sql::{Engine, RemoteContext};
use heapql_tables::remote;
use parking_lot::Mutex;
use prost::Message;
use serde::{Deserialize, Serialize};
use tonic::{Code, Request, Status};

use crate::channels::Channels;
use crate::movable::is_fragment;

/// Extra time that the serving side gets after the deadline, before it gives up by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Encodes scans in the SQL side's own form, and every other node in the engine's. Only the serving side has a context to decode.
struct FragmentCodec(Option<Arc<RemoteContext>>);

impl std::fmt::Debug for FragmentCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FragmentCodec")
    }
}

impl PhysicalExtensionCodec for FragmentCodec {
    fn try_decode(
        &self,
        text: &[u8],
        _: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match &self.0 {
            Some(context) => context.scan(text),
            None => Err(DataFusionError::Internal("a fragment is read by a server only".to_owned())),
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

/// Encodes a fragment. Fails if a node or expression of it has no encoding.
pub(crate) fn encode(fragment: &Arc<dyn ExecutionPlan>) -> Result<Bytes> {
    physical_plan_to_bytes_with_extension_codec(Arc::clone(fragment), &FragmentCodec(None))
}

/// The last message of an answer.
#[derive(Serialize, Deserialize)]
struct TrailerRecord {
    rows: usize,
    warnings: Vec<WarningRecord>,
}

/// A warning on the wire.
#[derive(Serialize, Deserialize)]
struct WarningRecord {
    is_note: bool,
    kind: FailureKind,
    message: String,
}

impl WarningRecord {
    fn new(Warning { level, kind, message }: Warning) -> WarningRecord {
        WarningRecord { is_note: level == Level::Note, kind, message }
    }

    fn warning(self) -> Warning {
        let level = if self.is_note { Level::Note } else { Level::Warning };
        Warning { level, kind: self.kind, message: self.message }
    }
}

/// A statement's own failure on the wire: it would fail on the asking server too.
#[derive(Serialize, Deserialize)]
struct FailureRecord {
    kind: FailureKind,
    message: String,
    hint: Option<String>,
}

fn abort_status(error: DataFusionError) -> Status {
    let Failure { kind, message, hint } = Failure::from_datafusion(error);
    let details = serde_json::to_vec(&FailureRecord { kind, message: message.clone(), hint }).unwrap_or_default();
    Status::with_details(Code::Aborted, message, details.into())
}

/// Runs the fragment that a ticket holds. The stream gives its rows, then the trailer.
pub(crate) async fn serve(
    engine: &Arc<Engine>,
    ticket: Bytes,
) -> Result<BoxStream<'static, Result<FlightData, Status>>, Status> {
    let started = {
        let engine = Arc::clone(engine);
        async move { start(&engine, &ticket) }
    };
    let started = engine.executor().run(started).await.map_err(|failure| abort_status(failure.into()))?;
    let (remote_context, rows) = started?;
    let schema = rows.schema();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let rows = rows.map(move |batch| {
        let batch = batch.and_then(|batch| compact(&batch)).map_err(|error| FlightError::from(abort_status(error)))?;
        *counted.lock() += batch.num_rows();
        Ok(batch)
    });
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
    let options = options.map_err(|error| abort_status(error.into()))?;
    let data = FlightDataEncoderBuilder::new().with_schema(schema).with_options(options).build(rows);
    let data = data.map(|data| {
        data.map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => Status::internal(other.to_string()),
        })
    });
    let trailer = stream::once(async move {
        let warnings = remote_context.warnings().into_iter().map(WarningRecord::new).collect();
        let trailer = serde_json::to_vec(&TrailerRecord { rows: *count.lock(), warnings });
        let trailer = trailer.map_err(|error| Status::internal(error.to_string()))?;
        Ok(FlightData { app_metadata: trailer.into(), ..FlightData::default() })
    });
    Ok(data.chain(trailer).boxed())
}

/// Decodes the fragment and starts it. The context has the fragment's warnings when the rows have ended.
fn start(engine: &Arc<Engine>, ticket: &[u8]) -> Result<(Arc<RemoteContext>, SendableRecordBatchStream), Status> {
    let remote_context = RemoteContext::new(engine).map_err(|failure| abort_status(failure.into()))?;
    let remote_context = Arc::new(remote_context);
    let context = remote_context.context();
    let codec = FragmentCodec(Some(Arc::clone(&remote_context)));
    // The statement is not at fault: this server lacks a mark, or is of another version.
    let fragment = physical_plan_from_bytes_with_extension_codec(ticket, &context, &codec)
        .map_err(|error| Status::failed_precondition(Failure::from_datafusion(error).message))?;
    let is_scan = |leaf: &dyn ExecutionPlan| remote::is_scan(leaf);
    if !is_fragment(&fragment, is_scan).map_err(abort_status)? {
        return Err(Status::permission_denied("a fragment of a plan scans tables and nothing else"));
    }
    let rows = execute_stream(fragment, context).map_err(abort_status)?;
    Ok((remote_context, engine.executor().stream(rows)))
}

/// Copies the values that a batch still uses out of its buffers. What filters and limits left behind would cross the wire too.
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

/// The complete answer of one server.
pub(crate) struct FragmentRows {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) warnings: Vec<Warning>,
    /// Size of the answer on the wire.
    pub(crate) bytes: usize,
}

/// The reasons for which a server gives no answer.
pub(crate) enum FetchError {
    /// The server cannot be reached, or its answer broke off.
    Unreachable(String),
    /// The server has answered that it cannot run the fragment.
    Unable(String),
    /// The server has not answered by the deadline.
    TimedOut,
    /// The statement is wrong, or too large. No server is missing.
    Statement(DataFusionError),
}

/// The parts of an answer that are not rows.
#[derive(Default)]
struct Sidecar {
    trailer: Option<Bytes>,
    bytes: usize,
}

/// Asks a server for the rows of a fragment.
pub(crate) async fn fetch(
    channels: &Channels,
    from: SocketAddr,
    fragment: Bytes,
    timeout: Duration,
    memory: &MemoryReservation,
) -> Result<FragmentRows, FetchError> {
    let mut request = Request::new(Ticket { ticket: fragment });
    // The other side stops by this if it does not notice that this side has given up. `gather` watches the time here.
    request.set_timeout(timeout + GRACE);
    let data = channels.client(from).do_get(request).await.map_err(|status| fetch_error(from, &status))?;
    read_rows(from, data.into_inner(), memory).await
}

/// Reads the answer that [`serve`] produces.
pub(crate) async fn read_rows(
    from: SocketAddr,
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    memory: &MemoryReservation,
) -> Result<FragmentRows, FetchError> {
    let sidecar = Arc::new(Mutex::new(Sidecar::default()));
    let mut rows = FlightRecordBatchStream::new_from_flight_data(data.filter_map(split_off(Arc::clone(&sidecar))));
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| match error {
            FlightError::Tonic(status) => fetch_error(from, &status),
            other => FetchError::Unreachable(format!("its answer cannot be read: {other}")),
        })?;
        memory.try_grow(batch.get_array_memory_size()).map_err(FetchError::Statement)?;
        batches.push(batch);
    }
    let Sidecar { trailer, bytes } = std::mem::take(&mut *sidecar.lock());
    let trailer = trailer.and_then(|trailer| serde_json::from_slice::<TrailerRecord>(&trailer).ok());
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    match trailer {
        Some(trailer) if trailer.rows == count => {
            let warnings = trailer.warnings.into_iter().map(WarningRecord::warning).collect();
            Ok(FragmentRows { batches, warnings, bytes })
        }
        _ => Err(FetchError::Unreachable("its answer broke off".to_owned())),
    }
}

/// Counts the bytes of an answer, and takes the trailer out of the stream of rows.
fn split_off(
    sidecar: Arc<Mutex<Sidecar>>,
) -> impl FnMut(Result<FlightData, Status>) -> std::future::Ready<Option<Result<FlightData, FlightError>>> {
    move |data| {
        let passed = match data {
            Ok(data) => {
                let mut sidecar = sidecar.lock();
                sidecar.bytes += data.encoded_len();
                if data.data_header.is_empty() {
                    sidecar.trailer = Some(data.app_metadata);
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

/// Translates the status of a server that gave no rows.
pub(crate) fn fetch_error(from: SocketAddr, status: &Status) -> FetchError {
    match status.code() {
        Code::Aborted => match serde_json::from_slice::<FailureRecord>(status.details()) {
            Ok(FailureRecord { kind, message, hint }) => {
                FetchError::Statement(Failure { kind, message: format!("server {from}: {message}"), hint }.into())
            }
            Err(_) => FetchError::Unreachable(status.message().to_owned()),
        },
        Code::FailedPrecondition => FetchError::Unable(status.message().to_owned()),
        Code::DeadlineExceeded | Code::Cancelled => FetchError::TimedOut,
        _ => FetchError::Unreachable(crate::channels::reason(status)),
    }
}
