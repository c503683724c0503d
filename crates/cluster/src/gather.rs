//! The plan node that stands for a fragment and holds its rows from all servers. `gather` fetches them before the plan runs.
//!
//! If a server fails in any fragment of a statement, its rows are dropped from every fragment. The answer is then that of a
//! cluster without this server, in joins and differences too. Gathered rows are held in memory, within the engine's bound for
//! queries. Which fragments there are is `spread`'s decision, their form on the wire is `fragment`'s.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, execute_stream};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use heapql_server::{ClusterQuery, Level, Warning};
use heapql_tables::remote;
use tokio::task::JoinSet;

use crate::channels::Channels;
use crate::fragment::{self, FetchError, FragmentRows};

/// A fragment that runs on several servers, with one partition for each.
#[derive(Clone)]
pub(crate) struct Gather {
    members: Arc<[SocketAddr]>,
    /// The plan that each member runs, this server included.
    fragment: Arc<dyn ExecutionPlan>,
    encoded: Bytes,
    properties: Arc<PlanProperties>,
    gathered: Arc<OnceLock<GatheredRows>>,
    metrics: ExecutionPlanMetricsSet,
}

/// The rows of each member, and the reservation of the memory that they take.
struct GatheredRows {
    partitions: Vec<Vec<RecordBatch>>,
    _memory: Arc<MemoryReservation>,
}

impl Gather {
    pub(crate) fn new(
        members: Arc<[SocketAddr]>,
        fragment: Arc<dyn ExecutionPlan>,
        encoded: Bytes,
        properties: Arc<PlanProperties>,
    ) -> Gather {
        let metrics = ExecutionPlanMetricsSet::new();
        Gather { members, fragment, encoded, properties, gathered: Arc::default(), metrics }
    }

    /// Records the numbers that EXPLAIN ANALYZE shows.
    fn count(&self, partition: usize, batches: &[RecordBatch], bytes: usize) {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        MetricBuilder::new(&self.metrics).output_rows(partition).add(rows);
        MetricBuilder::new(&self.metrics).counter("bytes_received", partition).add(bytes);
    }
}

/// At most this many per-server "no rows" notes reach the client.
const MAX_NOTES: usize = 4;

/// Sends an encoded fragment to a server and brings back its rows.
pub(crate) trait FragmentTransport: Send + Sync {
    fn fetch<'a>(
        &'a self,
        from: SocketAddr,
        encoded: Bytes,
        timeout: Duration,
        memory: &'a MemoryReservation,
    ) -> BoxFuture<'a, Result<FragmentRows, FetchError>>;
}

impl FragmentTransport for Channels {
    fn fetch<'a>(
        &'a self,
        from: SocketAddr,
        encoded: Bytes,
        timeout: Duration,
        memory: &'a MemoryReservation,
    ) -> BoxFuture<'a, Result<FragmentRows, FetchError>> {
        Box::pin(fragment::fetch(self, from, encoded, timeout, memory))
    }
}

/// Fetches the rows of every [`Gather`] of a plan, from all servers at once.
pub(crate) async fn gather(
    transport: Arc<dyn FragmentTransport>,
    plan: Arc<dyn ExecutionPlan>,
    query: Arc<ClusterQuery>,
    context: Arc<TaskContext>,
) -> Result<()> {
    let gathers = gathers_of(&plan)?;
    let memory = Arc::new(MemoryConsumer::new("rows of other servers").register(context.memory_pool()));
    // Each share is a task, so that the fragment that runs here does not delay the reading of other rows. They end with the statement.
    let mut shares = JoinSet::new();
    for (number, gather) in gathers.iter().enumerate() {
        for (partition, &member) in gather.members.iter().enumerate() {
            let (gather, query, memory) = (gather.clone(), Arc::clone(&query), Arc::clone(&memory));
            let (transport, context) = (Arc::clone(&transport), Arc::clone(&context));
            shares.spawn(async move {
                let fetched = if member == query.own() {
                    run_here(&gather, &context, &memory).await.map_err(FetchError::Statement)
                } else {
                    fetch_from(member, &gather, transport.as_ref(), &query, &memory).await
                };
                (number, partition, fetched)
            });
        }
    }
    let mut all: Vec<Vec<Vec<RecordBatch>>> =
        gathers.iter().map(|gather| vec![Vec::new(); gather.members.len()]).collect();
    let mut notes = BTreeMap::new();
    while let Some(share) = shares.join_next().await {
        let (number, partition, fetched) = share.map_err(|defect| DataFusionError::Internal(defect.to_string()))?;
        let gather = &gathers[number];
        let member = gather.members[partition];
        match fetched {
            Ok(FragmentRows { batches, warnings, bytes }) => {
                gather.count(partition, &batches, bytes);
                all[number][partition] = batches;
                report_warnings(&query, member, warnings, &mut notes);
            }
            Err(FetchError::Unreachable(why)) => query.mark_unreachable(member, &why)?,
            Err(FetchError::Unable(why)) => query.mark_missing(member, &why)?,
            Err(FetchError::TimedOut) => query.mark_missing(member, &timeout_reason(&query))?,
            Err(FetchError::Statement(error)) => return Err(error),
        }
    }
    // A note says why a server has no rows. It matters only if no server has any.
    if all.iter().flatten().flatten().all(|batch| batch.num_rows() == 0) {
        notes.into_values().take(MAX_NOTES).for_each(|note| query.warn(note));
    }
    for (gather, mut partitions) in gathers.iter().zip(all) {
        for (rows, member) in partitions.iter_mut().zip(gather.members.iter()) {
            if query.is_missing(member) {
                rows.clear();
            }
        }
        let _ = gather.gathered.set(GatheredRows { partitions, _memory: Arc::clone(&memory) });
    }
    Ok(())
}

fn gathers_of(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<Gather>> {
    let mut gathers = Vec::new();
    plan.apply(|node| match node.downcast_ref::<Gather>() {
        Some(gather) => {
            gathers.push(gather.clone());
            Ok(TreeNodeRecursion::Jump)
        }
        None => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(gathers)
}

fn timeout_reason(query: &ClusterQuery) -> String {
    format!("no answer within {} ms (_cluster_timeout)", query.timeout().as_millis())
}

/// Passes warnings on at once and collects notes. A note that several servers give is kept once, without a server's name.
fn report_warnings(
    query: &ClusterQuery,
    member: SocketAddr,
    warnings: Vec<Warning>,
    notes: &mut BTreeMap<String, Warning>,
) {
    for warning in warnings {
        let own = Warning { message: format!("server {member}: {}", warning.message), ..warning.clone() };
        if warning.level != Level::Note {
            query.warn(own);
        } else if let Some(noted) = notes.get_mut(&warning.message) {
            *noted = warning;
        } else {
            notes.insert(warning.message, own);
        }
    }
}

/// Runs the fragment on this server.
async fn run_here(gather: &Gather, context: &Arc<TaskContext>, memory: &MemoryReservation) -> Result<FragmentRows> {
    let mut rows = execute_stream(Arc::clone(&gather.fragment), Arc::clone(context))?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.transpose()? {
        memory.try_grow(batch.get_array_memory_size())?;
        batches.push(batch);
    }
    let mut warnings = Vec::new();
    gather.fragment.apply(|node| {
        warnings.extend(remote::warnings(node.as_ref()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(FragmentRows { batches, warnings, bytes: 0 })
}

/// Fetches the fragment's rows from another server, until the statement's deadline.
async fn fetch_from(
    member: SocketAddr,
    gather: &Gather,
    transport: &dyn FragmentTransport,
    query: &ClusterQuery,
    memory: &MemoryReservation,
) -> Result<FragmentRows, FetchError> {
    let deadline = query.deadline();
    let left = deadline.saturating_duration_since(Instant::now());
    let fetch = transport.fetch(member, gather.encoded.clone(), left, memory);
    tokio::time::timeout_at(deadline.into(), fetch).await.unwrap_or(Err(FetchError::TimedOut))
}

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gather({:?})", self.members)
    }
}

/// Number of addresses that a line of EXPLAIN shows.
const SHOWN_MEMBERS: usize = 4;

impl DisplayAs for Gather {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.members.iter().take(SHOWN_MEMBERS).map(ToString::to_string).collect();
        write!(f, "Gather: servers={} [{}", self.members.len(), shown.join(", "))?;
        f.write_str(if self.members.len() > SHOWN_MEMBERS { ", ..]" } else { "]" })
    }
}

impl ExecutionPlan for Gather {
    fn name(&self) -> &str {
        "Gather"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// EXPLAIN shows the fragment below this node.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.fragment]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let fragment = children.pop().unwrap_or_else(|| Arc::clone(&self.fragment));
        Ok(Arc::new(Gather { fragment, ..self.as_ref().clone() }))
    }

    // Deprecated in favour of `replace_children`, and still required.
    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.gathered.get().and_then(|gathered| gathered.partitions.get(partition));
        // An error, because an empty partition would be a wrong answer without a sign.
        let rows =
            rows.ok_or_else(|| DataFusionError::Internal("the rows of other servers were not gathered".to_owned()))?;
        let rows = stream::iter(rows.clone().into_iter().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
