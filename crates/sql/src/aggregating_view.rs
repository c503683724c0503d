//! A view that aggregates, as the engine scans it: conditions on its `members` are applied below the aggregation. `views`
//! makes it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use heapql_tables::{SystemTable, TableScope};

/// Plans the queries of views; the engine implements it.
pub(crate) trait ViewPlanner: Send + Sync {
    /// The state in which a view's query is planned as a statement of its own.
    fn statement(&self, scope: &Arc<TableScope>) -> Result<SessionState>;

    /// The state in which a view's query is planned as a fragment of a statement: who runs it is decided for the whole.
    fn fragment(&self, scope: &Arc<TableScope>) -> Result<SessionState>;
}

pub(super) struct AggregatingView {
    pub(super) table: Arc<dyn SystemTable>,
    pub(super) planner: Arc<dyn ViewPlanner>,
    pub(super) scope: Arc<TableScope>,
    pub(super) schema: SchemaRef,
    /// The whole view.
    pub(super) plan: LogicalPlan,
}

impl AggregatingView {
    /// Whether it reads nothing but what chooses members.
    fn chooses(&self, filter: &Expr) -> bool {
        let names = filter.column_refs();
        !names.is_empty()
            && names.iter().all(|column| self.table.members().contains(&column.name.as_str()))
            && !filter.is_volatile()
    }

    fn of_chosen(&self, filters: &[Expr]) -> Result<LogicalPlan> {
        let Some(condition) = conjunction(unnormalize_cols(filters.iter().cloned())) else {
            return Ok(self.plan.clone());
        };
        let choose = |node: LogicalPlan| match node {
            scan @ LogicalPlan::TableScan(_) => {
                Ok(Transformed::yes(LogicalPlanBuilder::from(scan).filter(condition.clone())?.build()?))
            }
            other => Ok(Transformed::no(other)),
        };
        Ok(self.plan.clone().transform_up(choose)?.data)
    }
}

impl fmt::Debug for AggregatingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AggregatingView({})", self.table.name())
    }
}

#[async_trait]
impl TableProvider for AggregatingView {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.table.definition()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let takes = |filter: &&Expr| match self.chooses(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(takes).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let name = |&index: &usize| Expr::Column(Column::from_name(self.schema.field(index).name()));
        let mut plan = LogicalPlanBuilder::from(self.of_chosen(filters)?);
        if let Some(projection) = projection {
            plan = plan.project(projection.iter().map(name).collect::<Vec<_>>())?;
        }
        let plan = plan.limit(0, limit)?.build()?;
        // Where its rows are is decided for the whole statement.
        let state = self.planner.fragment(&self.scope)?;
        state.create_physical_plan(&plan).await
    }
}
