//! HeapQL's SQL: tables, parameters, the statements that SQL lacks, and one `Session` that every protocol uses.
//!
//! What it is: a read-only DataFusion engine over the registry's sources. What it is not: a protocol; sockets,
//! passwords on the wire and error numbers belong to the wire crate, which is the one that calls this.
//!
//! ```text
//! Server (shared)  --open-->  Session (one per connection)  --execute-->  Outcome::{Rows, Done}
//!
//! a statement:  text -> split -> lex -> statements (a table of cases) -> Answer
//!                                   \-> query (parse, guard, rewrite, plan, guard) -> rows
//! ```
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(test, deny(unsafe_code))]

mod asking;
mod calls;
pub mod cluster;
mod connections;
mod engine;
mod failure;
mod functions;
mod heap;
mod history;
mod listing;
mod names;
mod parameter_file;
mod parameters;
mod postgres;
mod query;
pub mod remote;
mod running;
mod server;
mod session;
mod settings;
mod statements;
mod stoppable;
mod tables;
mod text;
pub mod whole_file;

#[cfg(test)]
mod tests;

pub use connections::{Connection, Connections, MAX_CONNECTIONS, Slot};
pub use failure::{Failure, FailureKind, Warning};
pub use heapql_registry::Usage;
pub use server::{Server, ServerConfig};
pub use session::{Dialect, Login, Outcome, POSTGRES_VERSION, Prepared, Session, VERSION};
pub use text::split::statements;
