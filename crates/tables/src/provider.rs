//! A `SystemTable` as the engine sees it: projection, pushed equalities and limits, visible in EXPLAIN.
//!
//! In a cluster a scan has a partition for each server that is asked. It never runs as such: the cluster crate puts it,
//! with what stands above it, where the rows are (`remote`). One that nobody spread is an error, not fewer rows.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SortOrderPushdownResult,
};
use futures::stream::{self, StreamExt};

use crate::column::schema_of;
use crate::request::{Literal, Order, ScanRequest, equality};
use crate::scope::TableScope;
use crate::server_filter;
use crate::table::{Batches, SystemTable};
use heapql_server::diagnostics::Diagnostics;

/// One table in one session.
pub struct Provider {
    table: Arc<dyn SystemTable>,
    scope: Arc<TableScope>,
    schema: SchemaRef,
}

impl Provider {
    /// The table as this scope sees it.
    pub fn new(table: Arc<dyn SystemTable>, scope: Arc<TableScope>) -> Provider {
        let schema = schema_of(&table.columns());
        Provider { table, scope, schema }
    }
}

impl Provider {
    /// A local table's rows may be about any server.
    fn is_about_server(&self, filter: &Expr) -> bool {
        !self.table.is_local() && server_filter::is_about_server(filter, &self.schema)
    }

    /// The servers whose rows may pass the filters on (svr_ip, svr_port).
    fn members(&self, state: &dyn Session, filters: &[&Expr]) -> Result<Vec<SocketAddr>> {
        let own = self.scope.server.address();
        let wanted = server_filter::wanted(filters, state)?;
        match &self.scope.cluster_query {
            Some(cluster_query) if !self.table.is_local() => Ok(cluster_query.members(wanted)?),
            _ => Ok([own].into_iter().filter(|own| wanted(own)).collect()),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.table.name())
    }
}

#[async_trait]
impl TableProvider for Provider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushed = self.table.pushed();
        let takes = |filter: &&Expr| {
            if self.is_about_server(filter) || equality(filter, &pushed).is_some() {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(takes).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let (about_server, others): (Vec<_>, Vec<_>) = filters.iter().partition(|filter| self.is_about_server(filter));
        let members = self.members(state, &about_server)?;
        if members.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let pushed = self.table.pushed();
        let equal = others.into_iter().filter_map(|filter| equality(filter, &pushed)).collect();
        let request = ScanRequest { columns, equal, order: None, limit };
        let properties = EquivalenceProperties::new(schema);
        let members = (self.scope.cluster_query.is_some() && !self.table.is_local()).then_some(members.into());
        Ok(Arc::new(Scan::new(Arc::clone(&self.table), Arc::clone(&self.scope), members, request, properties)))
    }
}

/// The leaf that reads a system table.
pub struct Scan {
    /// The table that is read.
    pub table: Arc<dyn SystemTable>,
    /// The scope in which it is read.
    pub scope: Arc<TableScope>,
    /// A partition for each; None: the rows of this server, in one.
    pub members: Option<Arc<[SocketAddr]>>,
    /// The columns, conditions, order and limit.
    pub request: ScanRequest,
    properties: Arc<PlanProperties>,
}

impl Scan {
    fn new(
        table: Arc<dyn SystemTable>,
        scope: Arc<TableScope>,
        members: Option<Arc<[SocketAddr]>>,
        request: ScanRequest,
        properties: EquivalenceProperties,
    ) -> Scan {
        let properties = Arc::new(PlanProperties::new(
            properties,
            Partitioning::UnknownPartitioning(members.as_ref().map_or(1, |members| members.len())),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Scan { table, scope, members, request, properties }
    }

    fn with(&self, request: ScanRequest, properties: EquivalenceProperties) -> Arc<dyn ExecutionPlan> {
        let members = self.members.clone();
        Arc::new(Scan::new(Arc::clone(&self.table), Arc::clone(&self.scope), members, request, properties))
    }

    /// The scan of one server. Its "no rows" notes are collected separately, because other servers may have rows.
    pub fn on_one(&self) -> Scan {
        let properties = self.properties.equivalence_properties().clone();
        let scope =
            TableScope { diagnostics: Diagnostics::default(), cluster_query: None, ..self.scope.as_ref().clone() };
        Scan::new(Arc::clone(&self.table), Arc::new(scope), None, self.request.clone(), properties)
    }

    /// The same rows in the same order, asked for by another server.
    pub fn of_request(table: Arc<dyn SystemTable>, scope: Arc<TableScope>, request: ScanRequest) -> Result<Scan> {
        let schema = Arc::new(schema_of(&table.columns()).project(&request.columns)?);
        let by = request.order.as_ref().map(|Order { column, descending }| {
            let options = SortOptions { descending: *descending, nulls_first: *descending };
            Ok::<_, DataFusionError>(PhysicalSortExpr::new(
                Arc::new(PhysicalColumn::new_with_schema(column, &schema)?),
                options,
            ))
        });
        let properties = EquivalenceProperties::new_with_orderings(schema, by.transpose()?.map(|by| [by]));
        Ok(Scan::new(table, scope, None, request, properties))
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan({})", self.table.name())
    }
}

impl DisplayAs for Scan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.table.columns();
        let columns: Vec<_> = self.request.columns.iter().map(|&index| columns[index].name).collect();
        write!(f, "SystemTableScan: {}, projection=[{}]", self.table.name(), columns.join(", "))?;
        if !self.request.equal.is_empty() {
            let filters: Vec<_> = self.request.equal.iter().map(|(name, literal)| shown(name, literal)).collect();
            write!(f, ", filters=[{}]", filters.join(", "))?;
        }
        if let Some(Order { column, descending }) = &self.request.order {
            write!(f, ", order={column}{}", if *descending { " desc" } else { "" })?;
        }
        if let Some(limit) = self.request.limit {
            write!(f, ", limit={limit}")?;
        }
        match &self.members {
            Some(members) => write!(f, ", servers={}", members.len()),
            None => Ok(()),
        }
    }
}

fn shown(name: &str, literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => format!("{name} = '{text}'"),
        Literal::Int(value) => format!("{name} = {value}"),
        Literal::Bool(value) => format!("{name} = {value}"),
    }
}

impl ExecutionPlan for Scan {
    fn name(&self) -> &str {
        "SystemTableScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { Err(DataFusionError::Internal("a scan is a leaf".into())) }
    }

    // Deprecated in favour of the above, and still required.
    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, recompute)
    }

    fn fetch(&self) -> Option<usize> {
        self.request.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let request = ScanRequest { limit, ..self.request.clone() };
        Some(self.with(request, self.properties.equivalence_properties().clone()))
    }

    /// `ORDER BY alloc_bytes DESC LIMIT 10` is how the table is read: the scan orders numbers before it makes texts.
    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let unsupported = Ok(SortOrderPushdownResult::Unsupported);
        let ([by], None) = (order, self.request.limit) else {
            return unsupported;
        };
        let Some(column) = by.expr.downcast_ref::<PhysicalColumn>() else {
            return unsupported;
        };
        if !self.table.ordered().iter().any(|name| *name == column.name()) {
            return unsupported;
        }
        let order = Order { column: column.name().to_owned(), descending: by.options.descending };
        let request = ScanRequest { order: Some(order), ..self.request.clone() };
        let schema = self.schema();
        let properties = EquivalenceProperties::new_with_orderings(schema, [[by.clone()]]);
        Ok(SortOrderPushdownResult::Exact { inner: self.with(request, properties) })
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if let Some(members) = &self.members {
            let defect = format!("the rows of {} servers were not asked for", members.len());
            return Err(DataFusionError::Internal(defect));
        }
        let (table, scope, request) = (Arc::clone(&self.table), Arc::clone(&self.scope), self.request.clone());
        // Read when the first batch is wanted, not when the plan is set up: the answer is as fresh as it can be.
        let batches = stream::once(async move { rows(table.as_ref(), &scope, &request) }).flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

/// A batch at a time on a thread where blocking is allowed; a client that has gone stops it after the batch.
fn elsewhere(batches: Batches) -> stream::BoxStream<'static, Result<RecordBatch>> {
    let next = |mut batches: Batches| async move {
        let made = tokio::task::spawn_blocking(move || batches.next().map(|batch| (batch, batches))).await;
        match made {
            Ok(next) => next,
            Err(defect) => {
                let error = DataFusionError::Internal(format!("the rows could not be made: {defect}"));
                Some((Err(error), Box::new(std::iter::empty()) as Batches))
            }
        }
    };
    stream::unfold(batches, next).boxed()
}

fn rows(
    table: &dyn SystemTable,
    scope: &TableScope,
    request: &ScanRequest,
) -> stream::BoxStream<'static, Result<RecordBatch>> {
    let mut left = request.limit.unwrap_or(usize::MAX);
    match table.scan(scope, request) {
        Ok(batches) => {
            let limited: Batches = Box::new(batches.map_while(move |batch| {
                (left > 0).then(|| {
                    let batch = batch?;
                    let batch = if batch.num_rows() > left { batch.slice(0, left) } else { batch };
                    left -= batch.num_rows();
                    Ok(batch)
                })
            }));
            let slow = request.columns.iter().any(|&index| table.is_slow(index));
            if slow { elsewhere(limited) } else { stream::iter(limited).boxed() }
        }
        Err(error) => stream::once(async { Err(error) }).boxed(),
    }
}
