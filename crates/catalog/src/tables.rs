//! The system tables: one file each, behind a trait of two functions. Nothing here knows of SQL text or protocols;
//! `provider` turns a `SystemTable` into what the engine scans, `schema` lists the tables by database.

mod batch;
mod callsites;
mod column;
mod contexts;
mod frames;
pub(crate) mod growth;
mod history;
mod information_schema;
mod leak_verdicts;
mod listed;
mod malloc_sample_info;
mod merged;
mod parameter_stat;
mod places;
mod postgres_information_schema;
mod process_memory;
mod processes;
pub(crate) mod provider;
mod request;
mod schema;
mod scope;
mod self_usage;
mod servers;
mod snapshots;
pub(crate) mod sources;
mod stack_id;
mod view;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;

pub(crate) use batch::micros;
pub(crate) use column::{Column, Kind, MYSQL_TYPE, schema_of};
pub(crate) use parameter_stat::STAT as PARAMETER_STAT;
pub(crate) use request::{Literal, Order, Request};
pub(crate) use schema::{
    Database, HEAPQL, INFORMATION_SCHEMA, OCEANBASE, POSTGRES_INFORMATION_SCHEMA, SearchPath, closest, find, kind,
    listed, shared,
};
pub(crate) use scope::{Diagnostics, Scope, Tenant};

/// Batches as they are needed: a LIMIT stops the work.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A table whose rows are made when it is read. Shared by all sessions, so it holds no state of its own.
pub(crate) trait SystemTable: std::fmt::Debug + Send + Sync {
    /// Lower case, as it is stored; lookups ignore case.
    fn name(&self) -> &'static str;

    /// One sentence, shown by `\d+` and SHOW TABLE STATUS.
    fn comment(&self) -> &'static str;

    fn columns(&self) -> &[Column];

    /// Columns whose equality with a literal `scan` applies itself, exactly.
    fn pushed(&self) -> &'static [&'static str] {
        &[]
    }

    /// Number columns by which `scan` can order its rows itself, so that `ORDER BY .. LIMIT 10` makes ten rows of text.
    fn ordered(&self) -> &'static [&'static str] {
        &[]
    }

    /// The query behind a view; a view is never scanned itself.
    fn definition(&self) -> Option<&'static str> {
        None
    }

    /// Of a view that makes one row of several: columns by which these are chosen, and which name only one of them.
    fn members(&self) -> &[&'static str] {
        &[]
    }

    /// Whether its rows are this server's business only, or the same on all: other servers are not asked.
    fn is_local(&self) -> bool {
        false
    }

    /// What a function's table was called with: with its name it makes the same table on another server.
    fn arguments(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether this column's values may take long: rows are then made where nobody waits for the thread.
    fn is_slow(&self, _: &Column) -> bool {
        false
    }

    /// Rows that pass every pushed filter of `request`, with the projected columns only.
    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches>;
}
