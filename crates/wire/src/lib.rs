//! HeapQL's wire protocols: MySQL and PostgreSQL in front of one session per connection, and HTTP for pictures, files and metrics.
//!
//! This crate has the sockets, log-in, framing, the encodings of values, and the one table of error codes. It has no SQL: splitting,
//! planning, running, warnings and privileges are the session's. The `heapql` binary is the only caller:
//!
//! ```text
//! Listeners::bind(..)  ->  bound addresses, printed by the CLI  ->  Listeners::serve(server, shutdown)
//! serve_pipe(server, pipe)                                          for a verb that asks without a server
//! ```
//!
//! No client can end the process or exhaust its memory. The limits: 256 connections (the server counts them), 10 s to log in, 64 KiB
//! per message before log-in and 16 MiB after it, 1,024 prepared statements per connection, a 64 KiB buffer for rows. A message that
//! breaks its protocol ends its own connection only.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod address;
pub mod codes;
mod coerce_parameters;
mod cursor;
mod display;
mod http;
mod limits;
mod listen;
mod log_excerpt;
mod mysql;
mod postgres;
mod transport;

pub use address::{BindError, Protocol, check_bind, is_loopback};
pub use listen::{Listeners, serve_pipe};
