//! The planning of views: a view's query becomes what the engine scans. The texts and columns of views are the tables
//! crate's. `databases` calls it when a query names a view.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, col, ident};
use heapql_tables::{SystemTable, TableScope, schema_of};

use crate::aggregating_view::{AggregatingView, ViewPlanner};

/// The plan of a view, its columns cast to the declared types.
pub(crate) async fn provider(
    table: &Arc<dyn SystemTable>,
    query: &'static str,
    planner: &Arc<dyn ViewPlanner>,
    scope: &Arc<TableScope>,
) -> Result<Arc<dyn TableProvider>> {
    let state = planner.statement(scope)?;
    let plan = state.create_logical_plan(query).await?;
    let schema = schema_of(&table.columns());
    let declared = schema.fields().iter().map(|field| {
        let value = cast(col(ident_of(field.name())), field.data_type().clone());
        value.alias_with_metadata(field.name(), Some(field.metadata().clone().into()))
    });
    let plan = LogicalPlanBuilder::from(plan).project(declared.collect::<Vec<_>>())?.build()?;
    if table.members().is_empty() {
        return Ok(Arc::new(ViewTable::new(plan, Some(query.to_owned()))));
    }
    // The plan's own schema: what may be NULL differs from the declaration, and the engine wants both sides of a scan alike.
    let schema = Arc::clone(plan.schema().inner());
    Ok(Arc::new(AggregatingView {
        table: Arc::clone(table),
        planner: Arc::clone(planner),
        scope: Arc::clone(scope),
        schema,
        plan,
    }))
}

fn ident_of(name: &str) -> Column {
    match ident(name) {
        Expr::Column(column) => column,
        _ => Column::from_name(name),
    }
}
