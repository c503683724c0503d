//! The scan as text, for plans that run on other servers. The cluster crate carries the text; this file knows no network.

use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};

use crate::provider::Scan;
use crate::request::{Literal, Order, ScanRequest};
use crate::{SystemTable, TableScope, growth, shared};
use heapql_server::Warning;
use heapql_server::database::OCEANBASE;
use heapql_server::diagnostics::Diagnostics;
use heapql_server::server::Server;
use heapql_server::tenant::Tenant;

/// The servers that a scan is to cover. None for every other node of a plan, and for a scan of this server only.
pub fn members(plan: &dyn ExecutionPlan) -> Option<&Arc<[SocketAddr]>> {
    plan.downcast_ref::<Scan>()?.members.as_ref()
}

/// Whether a node is a scan of this server's rows.
pub fn is_scan(plan: &dyn ExecutionPlan) -> bool {
    plan.downcast_ref::<Scan>().is_some_and(|scan| scan.members.is_none())
}

/// The scan of one of its servers.
pub fn on_one(plan: &dyn ExecutionPlan) -> Option<Arc<dyn ExecutionPlan>> {
    Some(Arc::new(plan.downcast_ref::<Scan>()?.on_one()))
}

/// The warnings of a scan that [`on_one`] made, complete when its rows have ended.
pub fn warnings(plan: &dyn ExecutionPlan) -> Vec<Warning> {
    plan.downcast_ref::<Scan>().map(|scan| scan.scope.diagnostics.list()).unwrap_or_default()
}

/// A scan as text, columns by name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanRecord {
    table: String,
    arguments: Vec<String>,
    tenant: i64,
    columns: Vec<String>,
    equal: Vec<(String, Literal)>,
    order: Option<Order>,
    limit: Option<usize>,
}

/// A scan for another server; None if the node is not one.
pub fn encode(plan: &dyn ExecutionPlan) -> Option<Vec<u8>> {
    let Scan { table, scope, request, .. } = plan.downcast_ref::<Scan>()?;
    let columns = table.columns();
    let record = ScanRecord {
        table: table.name().to_owned(),
        arguments: table.arguments(),
        tenant: scope.tenant.id(),
        columns: request.columns.iter().map(|&index| columns[index].name.to_owned()).collect(),
        equal: request.equal.clone(),
        order: request.order.clone(),
        limit: request.limit,
    };
    serde_json::to_vec(&record).ok()
}

/// The scan that [`encode`] wrote, over this server's rows. Its warnings go to `diagnostics`.
pub fn decode(server: &Arc<Server>, text: &[u8], diagnostics: &Diagnostics) -> Result<Arc<dyn ExecutionPlan>> {
    let record: ScanRecord = serde_json::from_slice(text)
        .map_err(|error| DataFusionError::Plan(format!("a scan of another version: {error}")))?;
    let table = table(server, &record)?;
    let columns = table.columns();
    let index = |name: &String| {
        let found = columns.iter().position(|column| column.name == name);
        found.ok_or_else(|| DataFusionError::Plan(format!("{} has no column '{name}'", record.table)))
    };
    // A condition on a column that is not there must not be dropped: the answer would have too many rows.
    record.equal.iter().try_for_each(|(name, _)| index(name).map(drop))?;
    let columns = record.columns.iter().map(index).collect::<Result<_>>()?;
    let request = ScanRequest { columns, equal: record.equal, order: record.order, limit: record.limit };
    let scope = scope(server, Tenant::numbered(record.tenant), diagnostics.clone());
    Ok(Arc::new(Scan::of_request(table, Arc::new(scope), request)?))
}

fn table(server: &Arc<Server>, record: &ScanRecord) -> Result<Arc<dyn SystemTable>> {
    let name = &record.table;
    match &record.arguments[..] {
        [] => shared(name).cloned(),
        [from] if name == growth::NAME => Some(growth::table(server, from, None)?),
        [from, to] if name == growth::NAME => Some(growth::table(server, from, Some(to))?),
        _ => None,
    }
    .ok_or_else(|| DataFusionError::Plan(format!("there is no table '{name}' here")))
}

/// The scope of a request by another server: it sees this server's rows only.
pub fn scope(server: &Arc<Server>, tenant: Tenant, diagnostics: Diagnostics) -> TableScope {
    TableScope { server: Arc::clone(server), tenant, catalog: OCEANBASE.to_owned(), diagnostics, cluster_query: None }
}
