//! The SQL dialect of a connection. It decides how text is read, which catalog is served and how values are named; it
//! knows neither protocol.

/// The SQL dialect of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// MySQL as OceanBase speaks it.
    MySql,
    /// PostgreSQL.
    Postgres,
}
