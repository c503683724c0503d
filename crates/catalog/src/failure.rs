//! What a client is told when a statement fails, and what it is warned of. Kinds only: the numbers (MySQL errno,
//! SQLSTATE) belong to the wire crate. Called by everything in this crate and by the wire for errors in a stream.

use std::fmt;

use datafusion::common::SchemaError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};

use crate::tables;

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

/// Something the last statement wants to be known although it succeeded.
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

    pub(crate) fn read_only(what: &str) -> Failure {
        Failure::new(FailureKind::ReadOnly, format!("{what} is refused: this server is read-only"))
            .hint("only queries, SHOW, EXPLAIN, SET and ALTER SYSTEM SET are served")
    }

    pub(crate) fn unknown_table(name: &str) -> Failure {
        let failure = Failure::new(FailureKind::UnknownTable, format!("table '{name}' does not exist"));
        match tables::closest(name) {
            Some(known) => failure.hint(format!("did you mean '{known}'?")),
            None => failure.hint("SHOW TABLES lists what there is"),
        }
    }

    pub(crate) fn unknown_database(name: &str) -> Failure {
        Failure::new(FailureKind::UnknownDatabase, format!("Unknown database '{name}'"))
            .hint("SHOW DATABASES lists them")
    }

    /// What the engine says, in the words a client should read: no prefixes, no source positions.
    pub fn from_datafusion(error: DataFusionError) -> Failure {
        match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                Failure::from_datafusion(*inner)
            }
            DataFusionError::Collection(mut all) if !all.is_empty() => Failure::from_datafusion(all.swap_remove(0)),
            DataFusionError::External(inner) => match inner.downcast::<Failure>() {
                Ok(own) => *own,
                Err(inner) => match inner.downcast::<DataFusionError>() {
                    Ok(engine) => Failure::from_datafusion(*engine),
                    Err(other) => Failure::new(FailureKind::Query, tidy(&other.to_string())),
                },
            },
            other => Failure::from_engine(&other),
        }
    }

    fn from_engine(error: &DataFusionError) -> Failure {
        match error {
            DataFusionError::Shared(inner) => Failure::from_engine(inner),
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Failure::from_engine(inner),
            DataFusionError::Collection(all) if !all.is_empty() => Failure::from_engine(&all[0]),
            DataFusionError::External(inner) => match inner.downcast_ref::<Failure>() {
                Some(own) => own.clone(),
                None => Failure::new(FailureKind::Query, tidy(&inner.to_string())),
            },
            DataFusionError::SQL(parse, _) => Failure::new(FailureKind::Syntax, tidy(&parse.to_string())),
            DataFusionError::SchemaError(schema, _) => from_schema(schema),
            DataFusionError::Plan(text) => from_plan(&tidy(text)),
            DataFusionError::NotImplemented(text) => Failure::new(FailureKind::Unsupported, tidy(text)),
            DataFusionError::ResourcesExhausted(_) => {
                Failure::new(FailureKind::OutOfMemory, "the query needs more memory than this server grants to queries")
                    .hint("select fewer columns, filter earlier or add LIMIT")
            }
            DataFusionError::ExecutionJoin(_) | DataFusionError::Internal(_) => {
                Failure::new(FailureKind::Internal, tidy(&first_line(&error.strip_backtrace())))
            }
            other => Failure::new(FailureKind::Query, tidy(&other.strip_backtrace())),
        }
    }
}

fn from_schema(error: &SchemaError) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let (message, hint) = match first.split_once(". Did you mean ") {
        Some((message, guess)) => (message, Some(format!("did you mean {guess}"))),
        None => (first.trim_end_matches('.'), None),
    };
    let fields = |line: &str| {
        let names = line.trim_start_matches("Valid fields are ").trim_end_matches('.');
        let bare: Vec<_> = names.split(", ").map(|name| name.rsplit('.').next().unwrap_or(name)).collect();
        format!("columns are {}", bare.join(", "))
    };
    let hint = hint.or_else(|| lines.find(|line| line.starts_with("Valid fields")).map(fields));
    Failure { kind: FailureKind::UnknownColumn, message: lower_first(message), hint }
}

/// Planning errors carry no kind of their own: the engine's fixed wordings are the only sign.
fn from_plan(text: &str) -> Failure {
    if let Some(name) = between(text, "table '", "' not found") {
        return Failure::unknown_table(name.rsplit('.').next().unwrap_or(name));
    }
    if let Some(name) = between(text, "schema not found: ", "") {
        return Failure::unknown_database(name);
    }
    if let Some(call) = between(text, "the given name and argument types '", "'.") {
        let failure = Failure::new(FailureKind::Query, format!("function {call} does not exist"));
        let known =
            text.split_once("Candidate functions:").map(|(_, known)| known.split_whitespace().collect::<Vec<_>>());
        return failure.hint(known.map_or("check the types of its arguments".to_owned(), |known| known.join(" ")));
    }
    match text.split_once(". Did you mean ").or_else(|| text.split_once("\nDid you mean ")) {
        Some((message, guess)) if is_near(message, guess) => {
            Failure::new(FailureKind::Query, lower_first(message)).hint(format!("did you mean {guess}"))
        }
        Some((message, _)) => Failure::new(FailureKind::Query, lower_first(message.trim_end_matches('.'))),
        None => Failure::new(FailureKind::Query, first_line(text)),
    }
}

/// The engine always guesses, however far away.
fn is_near(message: &str, guess: &str) -> bool {
    match (between(message, "'", "'"), between(guess, "'", "'")) {
        (Some(wrong), Some(guess)) => levenshtein(wrong, guess) * 3 <= wrong.len(),
        _ => true,
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(if after.is_empty() { rest } else { &rest[..rest.find(after)?] })
}

/// The engine nests its prefixes ("Error during planning: Execution error: ..."); none of them helps a client.
fn tidy(text: &str) -> String {
    const PREFIXES: [&str; 12] = [
        "DataFusion error: ",
        "Error during planning: ",
        "Execution error: ",
        "External error: ",
        "SQL error: ",
        "sql parser error: ",
        "Arrow error: ",
        "This feature is not implemented: ",
        "Internal error: ",
        "Schema error: ",
        "Optimizer rule 'optimize_projections' failed",
        "caused by",
    ];
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    let mut rest = text.split(".\nThis issue was likely caused by a bug").next().unwrap_or(text).trim();
    while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter.trim_start();
    }
    rest.trim_end_matches('.').to_owned()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
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

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Failure {
        Failure::from_datafusion(error)
    }
}

impl From<Failure> for DataFusionError {
    fn from(failure: Failure) -> DataFusionError {
        DataFusionError::External(Box::new(failure))
    }
}
