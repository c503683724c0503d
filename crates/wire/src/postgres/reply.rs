//! What the server sends, except rows. Thin names over pgwire's messages, written into the link's output.

use heapql_server::{Failure, Warning};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{CommandComplete, ReadyForQuery, TransactionStatus};
use tracing::error;

use crate::codes::{self, Code, code};
use crate::link::Link;

pub(super) fn send(link: &mut Link, message: &Backend) {
    // Fails only for a message longer than its kind may be, of which there is none.
    if let Err(defect) = message.encode(&mut link.output) {
        error!("a message was not sent: {defect}");
    }
}

pub(super) fn ready(link: &mut Link, in_transaction: bool) {
    let status = if in_transaction { TransactionStatus::Transaction } else { TransactionStatus::Idle };
    send(link, &Backend::ReadyForQuery(ReadyForQuery::new(status)));
}

pub(super) fn complete(link: &mut Link, tag: String) {
    send(link, &Backend::CommandComplete(CommandComplete::new(tag)));
}

/// What is wrong with one statement or message; the connection goes on.
#[derive(Debug)]
pub(super) struct Fault {
    code: Code,
    message: String,
    hint: Option<String>,
}

impl Fault {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), hint: None }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault { code: code(failure.kind), message: failure.message, hint: failure.hint }
    }
}

impl From<PgWireError> for Fault {
    fn from(error: PgWireError) -> Fault {
        match error {
            PgWireError::UserError(info) => Fault::new(codes::BAD_VALUE, info.message),
            other => Fault::new(codes::BAD_VALUE, other.to_string()),
        }
    }
}

pub(super) fn fault(link: &mut Link, fault: Fault) {
    let info = info("ERROR", fault.code.postgres_state, fault.message, fault.hint);
    send(link, &Backend::ErrorResponse(info.into()));
}

/// The connection ends after it.
pub(super) fn fatal(link: &mut Link, code: Code, message: &str) {
    let info = info("FATAL", code.postgres_state, message.to_owned(), None);
    send(link, &Backend::ErrorResponse(info.into()));
}

/// As `fatal`, with the hint of a failure.
pub(super) fn fatal_failure(link: &mut Link, failure: &Failure) {
    let state = code(failure.kind).postgres_state;
    let info = info("FATAL", state, failure.message.clone(), failure.hint.clone());
    send(link, &Backend::ErrorResponse(info.into()));
}

/// PostgreSQL's two classes of "it worked, but".
pub(super) fn notice(link: &mut Link, warning: &Warning) {
    let (severity, state) = match warning.level {
        "Note" => ("NOTICE", "00000"),
        _ => ("WARNING", "01000"),
    };
    let info = info(severity, state, warning.message.clone(), None);
    send(link, &Backend::NoticeResponse(info.into()));
}

fn info(severity: &str, state: &str, message: String, hint: Option<String>) -> ErrorInfo {
    let mut info = ErrorInfo::new(severity.to_owned(), state.to_owned(), without_zeros(message));
    info.severity_nonlocalized = Some(severity.to_owned());
    info.hint = hint.map(without_zeros);
    info
}

/// A zero would end the field early.
fn without_zeros(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}
