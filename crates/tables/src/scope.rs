//! The context in which a table is read: the server, the tenant, and where warnings go.

use std::sync::Arc;

use heapql_server::{ClusterQuery, Diagnostics, Server, Tenant};

/// The server, tenant and diagnostics of a scan.
#[derive(Clone)]
pub struct TableScope {
    /// The server whose rows are read.
    pub server: Arc<Server>,
    /// The tenant that asks.
    pub tenant: Tenant,
    /// The engine's name of what holds the databases; PostgreSQL's current database.
    pub catalog: String,
    /// Where warnings go.
    pub diagnostics: Diagnostics,
    /// The other servers, when a client's statement may ask them. None on a server that is alone, and in a piece of a
    /// plan that another server has sent.
    pub cluster_query: Option<Arc<ClusterQuery>>,
}
