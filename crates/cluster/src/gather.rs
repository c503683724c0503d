//! Rows from all servers that a part of a plan asks, in place of that part. `gather` gets them before the plan runs.
//!
//! A server's answer counts as a whole: whoever failed in one part of a statement is left out of all its parts, so the
//! rows are those of a cluster without that server, in joins and differences too. What is gathered is held in memory, within
//! the engine's bound for queries.

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
use heapql_server::ClusterQuery;
use heapql_server::Warning;
use heapql_tables::remote;

use tokio::task::JoinSet;

use crate::channels::Channels;
use crate::fragment::{self, Fetched, Refused};

/// A part of a plan that runs on other servers, with a partition for each.
#[derive(Clone)]
pub(crate) struct Gather {
    members: Arc<[SocketAddr]>,
    /// What each of them runs; this server too.
    piece: Arc<dyn ExecutionPlan>,
    fragment: Bytes,
    properties: Arc<PlanProperties>,
    got: Arc<OnceLock<Got>>,
    metrics: ExecutionPlanMetricsSet,
}

/// The rows of each member, and the memory that they take.
struct Got {
    partitions: Vec<Vec<RecordBatch>>,
    _memory: Arc<MemoryReservation>,
}

impl Gather {
    pub(crate) fn new(
        members: Arc<[SocketAddr]>,
        piece: Arc<dyn ExecutionPlan>,
        fragment: Bytes,
        properties: Arc<PlanProperties>,
    ) -> Gather {
        Gather { members, piece, fragment, properties, got: Arc::default(), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// For EXPLAIN ANALYZE.
    fn count(&self, partition: usize, batches: &[RecordBatch], bytes: usize) {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        MetricBuilder::new(&self.metrics).output_rows(partition).add(rows);
        MetricBuilder::new(&self.metrics).counter("bytes_received", partition).add(bytes);
    }
}

/// Why there are no rows, of so many servers.
const MOST_NOTES: usize = 4;

/// What takes a piece to a server, and brings its rows.
pub(crate) trait Carrier: Send + Sync {
    fn fetch<'a>(
        &'a self,
        from: SocketAddr,
        fragment: Bytes,
        within: Duration,
        memory: &'a MemoryReservation,
    ) -> BoxFuture<'a, Result<Fetched, Refused>>;
}

impl Carrier for Channels {
    fn fetch<'a>(
        &'a self,
        from: SocketAddr,
        fragment: Bytes,
        within: Duration,
        memory: &'a MemoryReservation,
    ) -> BoxFuture<'a, Result<Fetched, Refused>> {
        Box::pin(fragment::fetch(self, from, fragment, within, memory))
    }
}

/// Gets the rows of every `Gather` of a plan, from all servers at once.
pub(crate) async fn gather(
    carrier: Arc<dyn Carrier>,
    plan: Arc<dyn ExecutionPlan>,
    asking: Arc<ClusterQuery>,
    context: Arc<TaskContext>,
) -> Result<()> {
    let gathers = gathers_of(&plan)?;
    let memory = Arc::new(MemoryConsumer::new("rows of other servers").register(context.memory_pool()));
    // Tasks, so that rows made here do not hold up the reading of others'; they end with the statement.
    let mut shares = JoinSet::new();
    for (number, gather) in gathers.iter().enumerate() {
        for (partition, &member) in gather.members.iter().enumerate() {
            let (gather, asking, memory) = (gather.clone(), Arc::clone(&asking), Arc::clone(&memory));
            let (carrier, context) = (Arc::clone(&carrier), Arc::clone(&context));
            shares.spawn(async move {
                let fetched = if member == asking.own() {
                    here(&gather, &context, &memory).await.map_err(Refused::Failed)
                } else {
                    there(&gather, member, carrier.as_ref(), &asking, &memory).await
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
            Ok(Fetched { batches, warnings, bytes }) => {
                gather.count(partition, &batches, bytes);
                all[number][partition] = batches;
                tell(&asking, member, warnings, &mut notes);
            }
            Err(Refused::Lost(why)) => asking.lose(member, &why)?,
            Err(Refused::Unable(why)) => asking.miss(member, &why)?,
            Err(Refused::Late) => asking.miss(member, &late(&asking))?,
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
    // A server's note says why it has no rows: that matters if nobody has any.
    if all.iter().flatten().flatten().all(|batch| batch.num_rows() == 0) {
        notes.into_values().take(MOST_NOTES).for_each(|note| asking.warn(note));
    }
    for (gather, mut partitions) in gathers.iter().zip(all) {
        for (rows, member) in partitions.iter_mut().zip(gather.members.iter()) {
            if asking.is_missing(member) {
                rows.clear();
            }
        }
        let _ = gather.got.set(Got { partitions, _memory: Arc::clone(&memory) });
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

fn late(asking: &ClusterQuery) -> String {
    format!("no answer within {} ms (_cluster_timeout)", asking.patience().as_millis())
}

/// Warnings at once, notes later; whoever says them, and once what all say.
fn tell(asking: &ClusterQuery, member: SocketAddr, warnings: Vec<Warning>, notes: &mut BTreeMap<String, Warning>) {
    for warning in warnings {
        let own = Warning { message: format!("server {member}: {}", warning.message), ..warning.clone() };
        if warning.level != "Note" {
            asking.warn(own);
        } else if let Some(said) = notes.get_mut(&warning.message) {
            *said = warning;
        } else {
            notes.insert(warning.message, own);
        }
    }
}

async fn here(gather: &Gather, context: &Arc<TaskContext>, memory: &MemoryReservation) -> Result<Fetched> {
    let mut rows = execute_stream(Arc::clone(&gather.piece), Arc::clone(context))?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.transpose()? {
        memory.try_grow(batch.get_array_memory_size())?;
        batches.push(batch);
    }
    let mut warnings = Vec::new();
    gather.piece.apply(|node| {
        warnings.extend(remote::warnings(node.as_ref()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(Fetched { batches, warnings, bytes: 0 })
}

async fn there(
    gather: &Gather,
    member: SocketAddr,
    carrier: &dyn Carrier,
    asking: &ClusterQuery,
    memory: &MemoryReservation,
) -> Result<Fetched, Refused> {
    let deadline = asking.deadline();
    let left = deadline.saturating_duration_since(Instant::now());
    let fetch = carrier.fetch(member, gather.fragment.clone(), left, memory);
    tokio::time::timeout_at(deadline.into(), fetch).await.unwrap_or(Err(Refused::Late))
}

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gather({:?})", self.members)
    }
}

/// As many addresses as a line of EXPLAIN shows.
const SHOWN: usize = 4;

impl DisplayAs for Gather {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.members.iter().take(SHOWN).map(ToString::to_string).collect();
        write!(f, "Gather: servers={} [{}", self.members.len(), shown.join(", "))?;
        f.write_str(if self.members.len() > SHOWN { ", ..]" } else { "]" })
    }
}

impl ExecutionPlan for Gather {
    fn name(&self) -> &str {
        "Gather"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// For EXPLAIN: what runs there.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.piece]
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
        let piece = children.pop().unwrap_or_else(|| Arc::clone(&self.piece));
        Ok(Arc::new(Gather { piece, ..self.as_ref().clone() }))
    }

    // Deprecated in favour of the above, and still required.
    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let got = self.got.get().and_then(|got| got.partitions.get(partition));
        // Never fewer rows in silence.
        let rows =
            got.ok_or_else(|| DataFusionError::Internal("the rows of other servers were not gathered".to_owned()))?;
        let rows = stream::iter(rows.clone().into_iter().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
