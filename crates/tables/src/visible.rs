//! The tenant's view of the recorded processes. Tables reach rows through it and through nothing else. A source that cannot be
//! read is a warning and never an empty answer.

use std::sync::Arc;

use heapql_registry::{Callsite, Counters, Source, SourceState};
use heapql_server::{Diagnostics, FailureKind, Server, Tenant, Warning};

use crate::scope::TableScope;

/// The view of one tenant on a server.
#[derive(Clone)]
pub(crate) struct Visible {
    server: Arc<Server>,
    tenant: Tenant,
    diagnostics: Diagnostics,
}

impl TableScope {
    /// The view of the scope's tenant.
    pub(crate) fn visible(&self) -> Visible {
        let TableScope { server, tenant, diagnostics, .. } = self;
        Visible { server: Arc::clone(server), tenant: *tenant, diagnostics: diagnostics.clone() }
    }
}

impl Visible {
    /// The processes of the tenant, also those that cannot be read.
    pub(crate) fn sources(&self) -> Vec<Arc<Source>> {
        let mut sources = self.server.registry().sources();
        sources.retain(|source| self.owns(source));
        sources
    }

    /// Whether a process as a whole is the tenant's.
    pub(crate) fn owns(&self, source: &Source) -> bool {
        self.tenant.sees(source.tenant_id())
    }

    /// Whether rows of a tenant are visible.
    pub(crate) fn sees(&self, tenant_id: i64) -> bool {
        self.tenant.sees(tenant_id)
    }

    /// The tenant's callsites of every readable process that is wanted, each read now.
    pub(crate) fn callsites(
        &self,
        wants_source: impl Fn(&Source) -> bool,
        wants_callsite: impl Fn(&Counters) -> bool,
    ) -> Vec<(Arc<Source>, Vec<Callsite>)> {
        let read = |source: Arc<Source>| match callsites_where(&source, &wants_callsite) {
            Ok(mut callsites) => {
                callsites.retain(|callsite| self.tenant.sees(callsite.tenant_id));
                Some((source, callsites))
            }
            Err(why) => {
                self.warn(&source, &why);
                None
            }
        };
        self.server.registry().sources().into_iter().filter(|source| wants_source(source)).filter_map(read).collect()
    }

    /// The tenant's live callsites of every readable process that is wanted.
    pub(crate) fn live(&self, wants_source: impl Fn(&Source) -> bool) -> Vec<(Arc<Source>, Vec<Callsite>)> {
        self.callsites(wants_source, is_live)
    }

    /// The server itself, for rows that are not told apart by tenant: the sys tenant's alone.
    pub(crate) fn whole_server(&self) -> Option<&Arc<Server>> {
        (self.tenant == Tenant::Sys).then_some(&self.server)
    }

    /// The server, for facts that are the same for all tenants.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    fn warn(&self, source: &Source, why: &str) {
        let message =
            format!("process {} ({}) could not be read and is left out: {why}", source.pid(), source.command());
        self.diagnostics.push(Warning::new(FailureKind::Query, message));
    }
}

fn is_live(counters: &Counters) -> bool {
    counters.live_count > 0
}

/// The live callsites of one process, or why it cannot be read.
pub(crate) fn live_of(source: &Source) -> Result<Vec<Callsite>, String> {
    callsites_where(source, is_live)
}

fn callsites_where(source: &Source, is_wanted: impl Fn(&Counters) -> bool) -> Result<Vec<Callsite>, String> {
    match source.state() {
        SourceState::Unreadable(why) => Err(why),
        SourceState::Alive | SourceState::Dead => source.callsites_where(is_wanted).map_err(|error| error.to_string()),
    }
}

/// The state as `processes.state` has it.
pub(crate) fn state_name(source: &Source) -> &'static str {
    match source.state() {
        SourceState::Alive => "alive",
        SourceState::Dead => "dead",
        SourceState::Unreadable(_) => "unreadable",
    }
}
