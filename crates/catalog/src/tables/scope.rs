//! On whose behalf a table is read: the server, the tenant, and where to leave warnings.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::asking::Asking;
use crate::failure::Warning;
use crate::server::Server;

/// SHOW WARNINGS keeps this many; MySQL's default is the same.
const MAX_WARNINGS: usize = 64;

/// Who asks. The sys tenant sees every row, a user tenant its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenant {
    Sys,
    User(i64),
}

impl Tenant {
    /// OceanBase numbers user tenants from 1001. None can log in yet.
    pub(crate) fn named(name: &str) -> Option<Tenant> {
        if name.eq_ignore_ascii_case("sys") {
            return Some(Tenant::Sys);
        }
        name.parse().ok().filter(|id| *id > 1000).map(Tenant::User)
    }

    /// The tenant of an [`Tenant::id`].
    pub(crate) fn numbered(id: i64) -> Tenant {
        if id == Tenant::Sys.id() { Tenant::Sys } else { Tenant::User(id) }
    }

    pub(crate) fn id(self) -> i64 {
        match self {
            Tenant::Sys => 1,
            Tenant::User(id) => id,
        }
    }

    pub(crate) fn sees(self, tenant_id: i64) -> bool {
        match self {
            Tenant::Sys => true,
            Tenant::User(id) => id == tenant_id,
        }
    }
}

/// Warnings of the running statement; clones share one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnostics(Arc<Mutex<Vec<Warning>>>);

impl Diagnostics {
    /// Keeps a warning once, however often a plan reads the table that gives it.
    pub(crate) fn push(&self, warning: Warning) {
        let mut list = self.0.lock();
        if list.len() < MAX_WARNINGS && !list.contains(&warning) {
            list.push(warning);
        }
    }

    pub(crate) fn list(&self) -> Vec<Warning> {
        self.0.lock().clone()
    }
}

/// What a scan may look at.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) server: Arc<Server>,
    pub(crate) tenant: Tenant,
    /// The engine's name of what holds the databases; PostgreSQL's current database.
    pub(crate) catalog: String,
    pub(crate) diagnostics: Diagnostics,
    /// The other servers, when a client's statement may ask them. None on a server that is alone, and in a piece of a
    /// plan that another server has sent.
    pub(crate) asking: Option<Arc<Asking>>,
}
