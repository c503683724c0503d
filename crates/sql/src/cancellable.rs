//! Makes long joins stop when they are asked to. The engine looks up only when a batch leaves a scan; between two such
//! moments a join of large inputs can work for hours. So joins yield on their output, and their filters look at the
//! token. Only `running` makes signs and only the session's execution calls `cancellable`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use tokio::sync::watch;

use heapql_server::failure::{Failure, FailureKind};

/// Whether the statement is to stop: to be waited for, or asked from within a computation.
#[derive(Debug)]
pub(crate) struct CancellationToken {
    cancelled: Option<watch::Receiver<u64>>,
    limit: Option<Duration>,
    began: Instant,
}

impl CancellationToken {
    pub(crate) fn new(cancelled: Option<watch::Receiver<u64>>, limit: Option<Duration>) -> CancellationToken {
        CancellationToken { cancelled, limit, began: Instant::now() }
    }

    /// Returns when the statement is to stop, with the reason.
    pub(crate) async fn wait(self: Arc<Self>) -> Failure {
        let cancelled = async {
            match self.cancelled.clone() {
                Some(mut watch) if watch.has_changed().is_ok() => {
                    let _ = watch.changed().await;
                }
                _ => std::future::pending().await,
            }
        };
        let late = async {
            match self.limit {
                Some(limit) => tokio::time::sleep(limit.saturating_sub(self.began.elapsed())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cancelled => was_cancelled(),
            () = late => was_late(self.limit.unwrap_or_default()),
        }
    }

    fn check(&self) -> Result<()> {
        if self.cancelled.as_ref().is_some_and(|watch| watch.has_changed().unwrap_or(true)) {
            return Err(was_cancelled().into());
        }
        match self.limit {
            Some(limit) if self.began.elapsed() >= limit => Err(was_late(limit).into()),
            _ => Ok(()),
        }
    }
}

fn was_cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "the statement was cancelled")
}

fn was_late(limit: Duration) -> Failure {
    let millis = limit.as_millis();
    Failure::new(FailureKind::Timeout, format!("the statement was stopped after its time limit of {millis} ms"))
        .hint("MySQL: SET max_execution_time = 0; PostgreSQL: SET statement_timeout = 0")
}

/// The same plan, cancellable inside its joins.
pub(crate) fn cancellable(
    plan: Arc<dyn ExecutionPlan>,
    token: &Arc<CancellationToken>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let transformed = plan.transform_up(|plan| match joined(&plan, token)? {
        Some(join) => Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>)),
        None => Ok(Transformed::no(plan)),
    })?;
    Ok(transformed.data)
}

fn joined(plan: &Arc<dyn ExecutionPlan>, token: &Arc<CancellationToken>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let filter = Some(watched(filter, token));
        let builder = NestedLoopJoinExecBuilder::from(join).with_filter(filter);
        return Ok(Some(Arc::new(builder.build()?)));
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        return Ok(Some(join.builder().with_filter(Some(watched(filter, token))).build_exec()?));
    }
    let is_join = plan.is::<NestedLoopJoinExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<SortMergeJoinExec>();
    Ok(is_join.then(|| Arc::clone(plan)))
}

fn watched(filter: &JoinFilter, token: &Arc<CancellationToken>) -> JoinFilter {
    let inner = Arc::clone(filter.expression());
    let expression = Arc::new(CancellableExpr { inner, token: Arc::clone(token) });
    JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// An expression that looks at the token before every batch.
#[derive(Debug)]
struct CancellableExpr {
    inner: Arc<dyn PhysicalExpr>,
    token: Arc<CancellationToken>,
}

impl PartialEq for CancellableExpr {
    fn eq(&self, other: &CancellableExpr) -> bool {
        self.inner.as_ref() == other.inner.as_ref()
    }
}

impl Eq for CancellableExpr {}

impl Hash for CancellableExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for CancellableExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for CancellableExpr {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.inner.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.inner.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.token.check()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.pop().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(CancellableExpr { inner, token: Arc::clone(&self.token) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
