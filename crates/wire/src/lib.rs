//! HeapQL's wire protocols: MySQL and PostgreSQL in front of one `heapql_sql::Session` per connection, and HTTP for
//! pictures, files and metrics.
//!
//! What it is: sockets, log-in, framing, the two encodings of values, and the one table of error codes. What it is
//! not: SQL. It never looks into a statement beyond its first word; splitting, planning, running, warnings and
//! privileges are the catalog's. The `heapql` binary is the only caller:
//!
//! ```text
//! Listeners::bind(..)  ->  bound addresses, printed by the CLI  ->  Listeners::serve(server, shutdown)
//! converse(server, pipe)                                            a verb that asks without a server
//! ```
//!
//! Whatever a client does, the process lives on and its memory is bounded: 256 connections (the catalog counts them),
//! 10 s to log in, 64 KiB before and 16 MiB after log-in per message, 1,024 prepared statements per connection, rows
//! streamed through a 64 KiB buffer. A message that breaks its protocol ends its own connection only.
#![forbid(unsafe_code)]

mod address;
pub mod codes;
mod cursor;
mod display;
mod fit;
mod http;
mod link;
mod listen;
mod mysql;
mod postgres;
mod verb;

pub use address::{BindError, Protocol, check_bind, is_loopback};
pub use listen::{Listeners, converse};
