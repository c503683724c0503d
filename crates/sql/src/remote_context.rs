//! The state in which a fragment of a plan that another server sent is run. The cluster crate makes one for each fragment.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use heapql_server::{Diagnostics, Dialect, Failure, Tenant, Warning};
use heapql_tables::remote;

use crate::engine::Engine;

/// Runs a fragment of another server's plan: it sees this server's rows only, and its warnings travel back with the rows.
pub struct RemoteContext {
    engine: Arc<Engine>,
    state: SessionState,
    diagnostics: Diagnostics,
}

impl RemoteContext {
    /// A context for one fragment.
    pub fn new(engine: &Arc<Engine>) -> Result<RemoteContext, Failure> {
        let diagnostics = Diagnostics::default();
        let scope = remote::scope(engine.server(), Tenant::Sys, diagnostics.clone());
        let state = engine.statement(Dialect::Postgres, &Arc::new(scope), None)?;
        Ok(RemoteContext { engine: Arc::clone(engine), state, diagnostics })
    }

    /// The engine's context in which the fragment runs.
    pub fn context(&self) -> Arc<TaskContext> {
        self.state.task_ctx()
    }

    /// The fragment's warnings, complete when its rows have ended.
    pub fn warnings(&self) -> Vec<Warning> {
        self.diagnostics.list()
    }

    /// The scan that `heapql_tables::remote::encode` wrote on the other server.
    pub fn scan(&self, text: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
        remote::decode(self.engine.server(), text, &self.diagnostics)
    }
}
