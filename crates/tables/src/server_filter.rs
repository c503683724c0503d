//! Conditions on (svr_ip, svr_port) alone: whoever does not pass is not even asked. Called by `provider`.

use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;

const IP: &str = "svr_ip";
const PORT: &str = "svr_port";

/// Whether the filter reads nothing of a row but its server's address.
pub(crate) fn is_about_server(filter: &Expr, table: &Schema) -> bool {
    let names = filter.column_refs();
    let has_both = || [IP, PORT].iter().all(|name| table.column_with_name(name).is_some());
    !names.is_empty()
        && names.iter().all(|column| column.name == IP || column.name == PORT)
        && !filter.is_volatile()
        && has_both()
}

/// Which servers pass all of them. What cannot be told passes: its rows are filtered where they are.
pub(crate) fn wanted(filters: &[&Expr], state: &dyn Session) -> Result<impl Fn(&SocketAddr) -> bool + use<>> {
    let schema = Arc::new(Schema::new(vec![
        Field::new(IP, DataType::Utf8View, false),
        Field::new(PORT, DataType::Int64, false),
    ]));
    let condition = conjunction(unnormalize_cols(filters.iter().copied().cloned()));
    let names = DFSchema::try_from(Arc::clone(&schema))?;
    let condition = condition.map(|condition| state.create_physical_expr(condition, &names)).transpose()?;
    Ok(move |server: &SocketAddr| match &condition {
        Some(condition) => passes(condition, &schema, server).unwrap_or(true),
        None => true,
    })
}

fn passes(condition: &Arc<dyn PhysicalExpr>, schema: &Arc<Schema>, server: &SocketAddr) -> Result<bool> {
    let ip = StringViewArray::from(vec![server.ip().to_string()]);
    let port = Int64Array::from(vec![i64::from(server.port())]);
    let row = RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(ip), Arc::new(port)])?;
    let truth = condition.evaluate(&row)?.into_array(1)?;
    let truth = truth.as_boolean();
    Ok(truth.iter().next().flatten().unwrap_or(false))
}
