//! A statement while it runs: it can be cancelled, it can time out, and a panic in it stays in it. The wire sees only
//! the stream; dropping that ends the statement.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result as EngineResult;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt};

use crate::cancellable::CancellationToken;
use heapql_server::connections::Connections;
use heapql_server::diagnostics::Diagnostics;
use heapql_server::failure::{Failure, FailureKind, Level, Warning};

/// From the first token to the last row; the list of connections shows it.
pub(crate) struct RunningStatement {
    /// Resolves to the reason when the statement is to stop. Asked by planning and by every batch.
    stop: BoxFuture<'static, Failure>,
    /// The same for computations that cannot wait.
    token: Arc<CancellationToken>,
    _listed: ListEntry,
}

struct ListEntry {
    connections: Arc<Connections>,
    id: u32,
}

impl Drop for ListEntry {
    fn drop(&mut self) {
        self.connections.end(self.id);
    }
}

impl RunningStatement {
    pub(crate) fn begin(
        connections: &Arc<Connections>,
        id: u32,
        text: &str,
        timeout: Option<Duration>,
    ) -> RunningStatement {
        connections.begin(id, "Query", text);
        let token = Arc::new(CancellationToken::new(connections.cancellations(id), timeout));
        let stop = Arc::clone(&token).wait().boxed();
        let listed = ListEntry { connections: Arc::clone(connections), id };
        RunningStatement { stop, token, _listed: listed }
    }

    pub(crate) fn token(&self) -> Arc<CancellationToken> {
        Arc::clone(&self.token)
    }

    /// Waits for the part of a statement that makes no rows, until the statement is stopped.
    pub(crate) async fn guard<T>(
        &mut self,
        work: impl Future<Output = Result<Result<T, Failure>, Failure>>,
    ) -> Result<T, Failure> {
        let work = AssertUnwindSafe(work).catch_unwind();
        tokio::select! {
            biased;
            failure = &mut self.stop => Err(failure),
            done = work => done.unwrap_or_else(|panic| Err(panicked(&*panic))).flatten(),
        }
    }

    /// The rows, until they end or the statement is stopped. `schema` may name columns otherwise than the engine did.
    pub(crate) fn stream(
        self,
        rows: SendableRecordBatchStream,
        schema: SchemaRef,
        diagnostics: Diagnostics,
    ) -> SendableRecordBatchStream {
        Box::pin(Rows { schema, diagnostics, live: Some((rows, self)) })
    }
}

struct Rows {
    schema: SchemaRef,
    diagnostics: Diagnostics,
    /// Dropped at the end, so that the statement is over before the client has read the last packet.
    live: Option<(SendableRecordBatchStream, RunningStatement)>,
}

impl Rows {
    fn end(&mut self, failure: Option<Failure>) -> Option<EngineResult<RecordBatch>> {
        self.live = None;
        let failure = failure?;
        self.diagnostics.push(Warning { level: Level::Error, kind: failure.kind, message: failure.message.clone() });
        Some(Err(failure.into()))
    }

    fn named(&self, batch: RecordBatch) -> EngineResult<RecordBatch> {
        if batch.schema_ref() == &self.schema {
            return Ok(batch);
        }
        // Types are the same; only names differ, and nullability, which the engine may have narrowed.
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), batch.columns().to_vec(), &options)?)
    }
}

impl Stream for Rows {
    type Item = EngineResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some((rows, running)) = &mut self.live else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(failure) = running.stop.poll_unpin(context) {
            return Poll::Ready(self.end(Some(failure)));
        }
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| rows.poll_next_unpin(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(None)) => Poll::Ready(self.end(None)),
            Ok(Poll::Ready(Some(Ok(batch)))) => Poll::Ready(Some(self.named(batch))),
            Ok(Poll::Ready(Some(Err(error)))) => Poll::Ready(self.end(Some(Failure::from_datafusion(error)))),
            Err(panic) => Poll::Ready(self.end(Some(panicked(&*panic)))),
        }
    }
}

impl RecordBatchStream for Rows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// A panic is our error or the engine's, never the client's and never the end of the server.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message");
    tracing::error!("a statement panicked: {text}");
    Failure::new(FailureKind::Internal, format!("the statement failed inside the server: {text}"))
}
