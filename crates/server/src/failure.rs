//! Failures and warnings of statements, as clients are told them. Kinds only: the numbers (MySQL errno, SQLSTATE) belong to
//! the wire crate.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a statement failed. The wire owns the one table that turns a kind into (MySQL errno, SQLSTATE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// The text is not SQL of the connection's dialect.
    Syntax,
    UnknownTable,
    UnknownColumn,
    UnknownDatabase,
    /// No such system parameter (MySQL 5099).
    UnknownParameter,
    /// A parameter value that is out of range or not an integer (MySQL 4147).
    InvalidParameter,
    /// `SERVER =` or `ZONE =` names nothing (MySQL 1210).
    UnknownServer,
    /// A server of the cluster did not answer, and the session is strict.
    ServerMissing,
    /// A privilege is missing (MySQL 1227).
    NoPrivilege,
    /// The statement would write, or reach the host.
    ReadOnly,
    /// Wrong password, user or tenant; never says which (MySQL 1045).
    AccessDenied,
    Unsupported,
    /// Ctrl-C, KILL or a cancel request.
    Cancelled,
    Timeout,
    TooManyConnections,
    OutOfMemory,
    /// The statement was understood and its evaluation failed.
    Query,
    Internal,
}

/// A failed statement: a kind, one sentence, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    pub hint: Option<String>,
}

/// A diagnostic attached to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `"Warning"` or `"Note"`.
    pub level: &'static str,
    pub kind: FailureKind,
    pub message: String,
}

impl Warning {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Warning {
        Warning { level: "Warning", kind, message: message.into() }
    }

    pub fn note(message: impl Into<String>) -> Warning {
        Warning { level: "Note", kind: FailureKind::Query, message: message.into() }
    }
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    pub fn read_only(what: &str) -> Failure {
        Failure::new(FailureKind::ReadOnly, format!("{what} is refused: this server is read-only"))
            .hint("only queries, SHOW, EXPLAIN, SET and ALTER SYSTEM SET are served")
    }

    /// The hint is a general one: who has the list of tables gives a better one (`heapql_tables::unknown_table`).
    pub fn unknown_table(name: &str) -> Failure {
        Failure::new(FailureKind::UnknownTable, format!("table '{name}' does not exist"))
            .hint("SHOW TABLES lists what there is")
    }

    pub fn unknown_database(name: &str) -> Failure {
        Failure::new(FailureKind::UnknownDatabase, format!("Unknown database '{name}'"))
            .hint("SHOW DATABASES lists them")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
