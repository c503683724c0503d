//! The names of the databases. Which tables are in them is the tables crate's to say.

/// OceanBase's own tables, and the current database of a new session.
pub const OCEANBASE: &str = "oceanbase";
/// The tables and views that only HeapQL has.
pub const HEAPQL: &str = "heapql";
/// The information schema of MySQL connections.
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// PostgreSQL connections find this database under the name `information_schema`.
pub const POSTGRES_INFORMATION_SCHEMA: &str = "information_schema of postgres";
