//! The threads on which statements are planned and run. They are not those that serve sockets, so that a statement that computes
//! without a pause delays no other client, and no answer to KILL. It knows no statement; `execution` and the cluster hand it work.

use std::panic::resume_unwind;

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use heapql_server::{Failure, FailureKind};
use tokio::runtime::{Builder, Handle, Runtime};
use tracing::{Instrument, Span, info_span};

/// Number of threads that compute for statements, so at most this many processors are busy with them. The processors are the
/// target's; more than one thread, so that a long statement does not delay a short one.
const THREADS: usize = 4;
/// Maximum number of threads that read ledgers and debug information for statements. They wait for the disk more than they compute.
const BLOCKING_THREADS: usize = 8;
/// Stack size of the threads. The engine recurses over plans and expressions, and needs more without optimisation.
const STACK_BYTES: usize = 32 << 20;
/// Number of batches that are computed before the client takes them.
const BATCHES_AHEAD: usize = 1;

/// The threads of one engine.
pub struct Executor {
    handle: Handle,
    /// Some until `drop`.
    runtime: Option<Runtime>,
}

impl Executor {
    pub(crate) fn start() -> Result<Executor, Failure> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).max_blocking_threads(BLOCKING_THREADS).thread_stack_size(STACK_BYTES);
        let runtime = builder.thread_name("heapql-sql").enable_all().build().map_err(|error| {
            Failure::new(FailureKind::Internal, format!("cannot start the threads that run statements: {error}"))
        })?;
        Ok(Executor { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Runs work on these threads, or fails when they are being stopped. Dropping the future ends the work at its next pause. A panic in the work is a panic of the
    /// future.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Failure>> {
        let _here = self.handle.enter();
        let task = SpawnedTask::spawn(work.instrument(span()));
        let joined = task.map(|joined| match joined {
            Ok(done) => Ok(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(Failure::new(FailureKind::Cancelled, "the server is shutting down")),
            },
        });
        joined.boxed()
    }

    /// The same rows, computed on these threads a little ahead of their reader. Dropping the stream ends the work at its next
    /// pause. A panic in the work is a panic of the stream.
    pub fn stream(&self, mut rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(rows.schema(), BATCHES_AHEAD);
        let sender = builder.tx();
        let work = async move {
            while let Some(batch) = rows.next().await {
                let is_last = batch.is_err();
                if sender.send(batch).await.is_err() || is_last {
                    break;
                }
            }
            // The statement has given back what it holds before its reader sees the end.
            drop(rows);
            drop(sender);
            Ok(())
        };
        builder.spawn_on(work.instrument(span()), &self.handle);
        builder.build()
    }
}

/// The span of work for a statement, within that of its connection. It tells the recorder whose memory this is.
fn span() -> Span {
    info_span!("statement")
}

impl Drop for Executor {
    /// Does not wait: a statement that computes without a pause must not hold up the end of the server.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use datafusion::arrow::array::RecordBatch;
    use datafusion::arrow::datatypes::Schema;
    use datafusion::error::DataFusionError;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use tokio::sync::oneshot;

    use super::*;

    /// Sends when it is dropped.
    struct DropSignal(Option<oneshot::Sender<()>>);

    impl Drop for DropSignal {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                let _ = sender.send(());
            }
        }
    }

    fn rows(
        batches: impl IntoIterator<Item = Result<RecordBatch, DataFusionError>, IntoIter: Send + 'static>,
    ) -> SendableRecordBatchStream {
        let stream = futures::stream::iter(batches);
        Box::pin(RecordBatchStreamAdapter::new(Arc::new(Schema::empty()), stream))
    }

    fn empty() -> RecordBatch {
        RecordBatch::new_empty(Arc::new(Schema::empty()))
    }

    #[tokio::test]
    async fn work_without_a_pause_does_not_hold_up_its_caller() {
        let executor = Executor::start().expect("threads");
        let (release, released) = mpsc::channel();
        let work = executor.run(async move { released.recv().expect("it is released") });
        // On this thread alone, the work would wait for ever for what comes next.
        release.send(7).expect("the work waits");
        assert_eq!(work.await.expect("it ends"), 7);
    }

    #[tokio::test]
    async fn dropping_the_future_or_the_stream_ends_the_work() {
        let executor = Executor::start().expect("threads");
        let (sender, ended) = oneshot::channel();
        let signal = DropSignal(Some(sender));
        let work = executor.run(async move {
            let _signal = signal;
            pending::<()>().await;
        });
        drop(work);
        ended.await.expect("the work was dropped");

        let (sender, ended) = oneshot::channel();
        let signal = DropSignal(Some(sender));
        let endless = std::iter::repeat_with(move || {
            let _ = &signal;
            Ok(empty())
        });
        let mut stream = executor.stream(rows(endless));
        assert!(stream.next().await.is_some_and(|batch| batch.is_ok()));
        drop(stream);
        ended.await.expect("the rows were dropped");
    }

    #[tokio::test]
    async fn rows_are_computed_a_bounded_way_ahead_and_end_with_the_first_error() {
        let executor = Executor::start().expect("threads");
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let batches = (0..100).map(move |number| {
            counted.fetch_add(1, Ordering::Relaxed);
            if number < 50 { Ok(empty()) } else { Err(DataFusionError::Execution(number.to_string())) }
        });
        let mut stream = executor.stream(rows(batches));
        for taken in 0..50 {
            assert!(stream.next().await.is_some_and(|batch| batch.is_ok()));
            // One more is being sent, and those of the channel have been.
            assert!(made.load(Ordering::Relaxed) <= taken + 2 + BATCHES_AHEAD + 1);
        }
        let error = stream.next().await.expect("an error").expect_err("an error");
        assert!(error.to_string().ends_with("50"), "{error}");
        assert!(stream.next().await.is_none());
        assert_eq!(made.load(Ordering::Relaxed), 51);
    }

    #[tokio::test]
    async fn a_panic_is_the_callers() {
        let executor = Executor::start().expect("threads");
        let work = executor.run(async { panic!("a defect") });
        let panic = AssertUnwindSafe(work).catch_unwind().await.map(|_: Result<(), _>| ()).expect_err("a panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a defect"));
        let defect = std::iter::once_with(|| panic!("a defect"));
        let mut stream = executor.stream(rows(defect));
        let panic = AssertUnwindSafe(stream.next()).catch_unwind().await.map(|_| ()).expect_err("a panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a defect"));
    }
}
