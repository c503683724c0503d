//! The system tables and the functions over them: one file each.
//!
//! What it is: tables whose rows are made from the server's state when they are read, and what the engine needs to scan
//! them. What it is not: SQL text, sessions or protocols. The sql crate plans over these tables; the cluster crate carries
//! their scans to other servers.
#![deny(missing_docs)]
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(test, deny(unsafe_code))]

mod answer;
mod calls;
mod callsites;
mod column;
mod contexts;
mod databases;
mod frames;
pub mod functions;
mod growth;
pub mod heap;
mod heapql_columns;
mod history;
mod leak_verdicts;
pub mod listing;
mod malloc_sample_info;
mod parameter_stat;
mod past_suspects;
mod process_memory;
mod processes;
pub mod provider;
#[cfg(test)]
mod reference;
pub mod remote;
mod request;
mod scope;
mod self_usage;
mod server_filter;
mod servers;
mod snapshots;
mod stack_id;
mod table;
mod typed_column;
mod typed_table;
mod view;
mod visible;

pub use answer::answer;
pub use column::{Column, ColumnKind, MYSQL_TYPE, Unit, schema_of};
pub use databases::{closest, find, kind, listed, shared, unknown_table};
pub use parameter_stat::STAT as PARAMETER_STAT;
pub use scope::TableScope;
pub use table::SystemTable;
