//! Failures and warnings of statements, as clients are told them. Kinds only: the numbers (MySQL errno, SQLSTATE) belong to
//! the wire crate.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a statement failed. The wire owns the one table that turns a kind into (MySQL errno, SQLSTATE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// The text is not SQL of the connection's dialect.
    Syntax,
    /// No table has the name (MySQL 1146).
    UnknownTable,
    /// No column has the name (MySQL 1054).
    UnknownColumn,
    /// No database has the name (MySQL 1049).
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
    /// The statement is understood and not served.
    Unsupported,
    /// Ctrl-C, KILL or a cancel request.
    Cancelled,
    /// A time limit of the statement or the session has passed.
    Timeout,
    /// All places for connections are taken (MySQL 1040).
    TooManyConnections,
    /// The statement needs more memory than it may have.
    OutOfMemory,
    /// The statement was understood and its evaluation failed.
    Query,
    /// A defect of the server.
    Internal,
}

/// A failed statement: a kind, one sentence, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why, for the table of codes.
    pub kind: FailureKind,
    /// One sentence without a full stop.
    pub message: String,
    /// The next step for the client.
    pub hint: Option<String>,
}

/// How serious a diagnostic is, in MySQL's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing went wrong, and the client may want to know.
    Note,
    /// Something is missing from the answer, or took effect otherwise than was asked for.
    Warning,
    /// The statement failed.
    Error,
}

impl Level {
    /// The level as SHOW WARNINGS prints it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Note => "Note",
            Level::Warning => "Warning",
            Level::Error => "Error",
        }
    }
}

/// A diagnostic attached to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// How serious it is.
    pub level: Level,
    /// Why, for the table of codes.
    pub kind: FailureKind,
    /// One sentence without a full stop.
    pub message: String,
}

impl Warning {
    /// A warning of a kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Warning {
        Warning { level: Level::Warning, kind, message: message.into() }
    }

    /// A note: nothing went wrong, and the client may want to know.
    pub fn note(message: impl Into<String>) -> Warning {
        Warning { level: Level::Note, kind: FailureKind::Query, message: message.into() }
    }
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), hint: None }
    }

    /// The same failure with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The failure of a statement that would write.
    pub fn read_only(what: &str) -> Failure {
        Failure::new(FailureKind::ReadOnly, format!("{what} is refused: this server is read-only"))
            .hint("only queries, SHOW, EXPLAIN, SET and ALTER SYSTEM SET are served")
    }

    /// The hint is a general one: who has the list of tables gives a better one (`heapql_tables::unknown_table`).
    pub fn unknown_table(name: &str) -> Failure {
        Failure::new(FailureKind::UnknownTable, format!("table '{name}' does not exist"))
            .hint("SHOW TABLES lists what there is")
    }

    /// The failure of a statement that names an unknown database.
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
