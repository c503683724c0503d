//! HeapQL's SQL: text, statements, settings, the engine, the planning of views, and one `Session` that every protocol uses.
//!
//! What it is: a read-only DataFusion engine over the system tables. What it is not: a protocol; sockets, passwords on the
//! wire and error numbers belong to the wire crate, which calls this one.
//!
//! ```text
//! Engine (shared)  --open-->  Session (one per connection)  --execute-->  Outcome::{Rows, Done}
//!
//! a statement:  text -> split -> lex -> statements (a table of cases) -> Answer
//!                                   \-> query (parse, guard, rewrite, plan, guard) -> rows
//! ```
#![deny(missing_docs)]
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(test, deny(unsafe_code))]

mod aggregating_view;
mod bounded_function;
mod cancellable;
mod databases;
mod engine;
mod execution;
mod executor;
mod pg_catalog;
mod query;
mod remote_context;
mod running;
mod session;
mod settings;
mod statements;
mod text;
mod views;

#[cfg(test)]
mod tests;

pub use engine::{Distributor, Engine};
pub use executor::Executor;
pub use remote_context::RemoteContext;
pub use session::{Login, Outcome, Prepared, RowsLabel, Session};
pub use statements::only_reads;
pub use text::split::statements;
