//! The state of one heapql process: parameters, history, connections, names for stacks, and the other servers.
//!
//! What it is: the state that tables read and statements change. What it is not: a table, SQL or an engine; those are the
//! tables and sql crates, which stand on this one. The wire, the cluster and the binary use it too.
#![deny(missing_docs)]
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(test, deny(unsafe_code))]

pub mod cluster;
pub mod cluster_query;
pub mod connections;
pub mod database;
pub mod diagnostics;
pub mod dialect;
mod engine_error;
pub mod failure;
pub mod history;
pub mod like;
pub mod parameters;
pub mod server;
pub mod suspects;
pub mod symbols;
pub mod tenant;
pub mod version;

pub use cluster_query::ClusterQuery;
pub use connections::{Connection, Connections, MAX_CONNECTIONS, Slot};
pub use diagnostics::Diagnostics;
pub use dialect::Dialect;
pub use engine_error::missing_table;
pub use failure::{Failure, FailureKind, Level, Warning};
pub use server::{Server, ServerConfig};
pub use tenant::Tenant;
pub use version::{POSTGRES_VERSION, VERSION};
