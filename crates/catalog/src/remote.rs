//! Pieces of plans on their way to other servers: the scan at their end as text, and the state in which a piece that
//! another server sent is run. Called by the cluster crate, which carries them; it knows no network.

use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Warning};
use crate::server::Server;
use crate::session::Dialect;
use crate::tables::provider::Scan;
use crate::tables::{self, Diagnostics, Literal, OCEANBASE, Order, Request, Scope, SystemTable, Tenant, growth};

/// The servers that a scan is to cover. None for every other node of a plan, and for a scan of this server only.
pub fn members(plan: &dyn ExecutionPlan) -> Option<&Arc<[SocketAddr]>> {
    plan.downcast_ref::<Scan>()?.members.as_ref()
}

/// Whether a node is a scan of this server's rows.
pub fn is_scan(plan: &dyn ExecutionPlan) -> bool {
    plan.downcast_ref::<Scan>().is_some_and(|scan| scan.members.is_none())
}

/// What one of its members does for a scan.
pub fn on_one(plan: &dyn ExecutionPlan) -> Option<Arc<dyn ExecutionPlan>> {
    Some(Arc::new(plan.downcast_ref::<Scan>()?.on_one()))
}

/// What a scan that [`on_one`] made wants to be known, when its rows have ended.
pub fn warnings(plan: &dyn ExecutionPlan) -> Vec<Warning> {
    plan.downcast_ref::<Scan>().map(|scan| scan.scope.diagnostics.list()).unwrap_or_default()
}

/// A scan as text, columns by name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
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
    let written = Written {
        table: table.name().to_owned(),
        arguments: table.arguments(),
        tenant: scope.tenant.id(),
        columns: request.columns.iter().map(|&index| table.columns()[index].name.to_owned()).collect(),
        equal: request.equal.clone(),
        order: request.order.clone(),
        limit: request.limit,
    };
    serde_json::to_vec(&written).ok()
}

/// What runs another server's piece: it sees this server's rows only, and its warnings travel back with the rows.
pub struct Guest {
    server: Arc<Server>,
    state: SessionState,
    diagnostics: Diagnostics,
}

impl Guest {
    pub fn new(server: &Arc<Server>) -> Result<Guest, Failure> {
        let diagnostics = Diagnostics::default();
        let scope = scope(server, Tenant::Sys, diagnostics.clone());
        let state = server.engine().statement(Dialect::Postgres, &Arc::new(scope), None)?;
        Ok(Guest { server: Arc::clone(server), state, diagnostics })
    }

    pub fn context(&self) -> Arc<TaskContext> {
        self.state.task_ctx()
    }

    /// Complete when the rows have ended.
    pub fn warnings(&self) -> Vec<Warning> {
        self.diagnostics.list()
    }

    /// The scan that [`encode`] wrote.
    pub fn scan(&self, text: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
        let written: Written = serde_json::from_slice(text)
            .map_err(|error| DataFusionError::Plan(format!("a scan of another version: {error}")))?;
        let table = self.table(&written)?;
        let index = |name: &String| {
            let found = table.columns().iter().position(|column| column.name == name);
            found.ok_or_else(|| DataFusionError::Plan(format!("{} has no column '{name}'", written.table)))
        };
        let columns = written.columns.iter().map(index).collect::<Result<_>>()?;
        let request = Request { columns, equal: written.equal, order: written.order, limit: written.limit };
        let tenant = Tenant::numbered(written.tenant);
        let scope = scope(&self.server, tenant, self.diagnostics.clone());
        Ok(Arc::new(Scan::of_request(table, Arc::new(scope), request)?))
    }

    fn table(&self, written: &Written) -> Result<Arc<dyn SystemTable>> {
        let name = &written.table;
        match &written.arguments[..] {
            [] => tables::shared(name).cloned(),
            [from] if name == growth::NAME => Some(growth::table(&self.server, from, None)?),
            [from, to] if name == growth::NAME => Some(growth::table(&self.server, from, Some(to))?),
            _ => None,
        }
        .ok_or_else(|| DataFusionError::Plan(format!("there is no table '{name}' here")))
    }
}

/// Of whoever asks for another server: it sees this server's rows only.
pub(crate) fn scope(server: &Arc<Server>, tenant: Tenant, diagnostics: Diagnostics) -> Scope {
    Scope { server: Arc::clone(server), tenant, catalog: OCEANBASE.to_owned(), diagnostics, asking: None }
}
