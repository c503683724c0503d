//! The engine's errors in the words that a client reads: no prefixes, no source positions. It guesses from the engine's
//! wording where the engine's errors carry no kind; hints that need a list of tables are made where the list is.

use datafusion_common::utils::datafusion_strsim::levenshtein;
use datafusion_common::{DataFusionError, SchemaError};

use crate::failure::{Failure, FailureKind};

impl Failure {
    /// The engine's error in the words a client should read: no prefixes, no source positions.
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

/// The table that a plan names and the engine did not find, without its database.
pub fn missing_table(error: &DataFusionError) -> Option<String> {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => missing_table(inner),
        DataFusionError::Collection(all) => missing_table(all.first()?),
        DataFusionError::Shared(inner) => missing_table(inner),
        DataFusionError::Plan(text) => missing(&tidy(text)).map(str::to_owned),
        _ => None,
    }
}

fn missing(text: &str) -> Option<&str> {
    let name = between(text, "table '", "' not found")?;
    Some(name.rsplit('.').next().unwrap_or(name))
}

/// Planning errors carry no kind of their own: the engine's fixed wordings are the only sign.
fn from_plan(text: &str) -> Failure {
    if let Some(name) = missing(text) {
        return Failure::unknown_table(name);
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
