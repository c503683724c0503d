//! Backend messages except rows, written into the transport's output. Their encoding is pgwire's.

use heapql_server::{Failure, Level, Warning};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{CommandComplete, ReadyForQuery, TransactionStatus};
use tracing::error;

use crate::codes::{self, ErrorCode, code};
use crate::transport::Transport;

pub(super) fn send(transport: &mut Transport, message: &Backend) {
    // It fails only for a message that is too long, and no message here can be.
    if let Err(defect) = message.encode(&mut transport.output) {
        error!("a message was not sent: {defect}");
    }
}

pub(super) fn ready(transport: &mut Transport, in_transaction: bool) {
    let status = if in_transaction { TransactionStatus::Transaction } else { TransactionStatus::Idle };
    send(transport, &Backend::ReadyForQuery(ReadyForQuery::new(status)));
}

pub(super) fn complete(transport: &mut Transport, tag: String) {
    send(transport, &Backend::CommandComplete(CommandComplete::new(tag)));
}

/// An error of one statement or message. The connection continues.
#[derive(Debug)]
pub(super) struct ErrorReply {
    code: ErrorCode,
    message: String,
    hint: Option<String>,
}

impl ErrorReply {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> ErrorReply {
        ErrorReply { code, message: message.into(), hint: None }
    }
}

impl From<Failure> for ErrorReply {
    fn from(failure: Failure) -> ErrorReply {
        ErrorReply { code: code(failure.kind), message: failure.message, hint: failure.hint }
    }
}

impl From<PgWireError> for ErrorReply {
    fn from(error: PgWireError) -> ErrorReply {
        match error {
            PgWireError::UserError(info) => ErrorReply::new(codes::BAD_VALUE, info.message),
            other => ErrorReply::new(codes::BAD_VALUE, other.to_string()),
        }
    }
}

pub(super) fn error(transport: &mut Transport, error: ErrorReply) {
    let info = info("ERROR", error.code.postgres_state, error.message, error.hint);
    send(transport, &Backend::ErrorResponse(info.into()));
}

/// Writes an error after which the connection ends.
pub(super) fn fatal(transport: &mut Transport, code: ErrorCode, message: &str) {
    let info = info("FATAL", code.postgres_state, message.to_owned(), None);
    send(transport, &Backend::ErrorResponse(info.into()));
}

/// Writes a failure with its hint, after which the connection ends.
pub(super) fn fatal_failure(transport: &mut Transport, failure: &Failure) {
    let state = code(failure.kind).postgres_state;
    let info = info("FATAL", state, failure.message.clone(), failure.hint.clone());
    send(transport, &Backend::ErrorResponse(info.into()));
}

/// Writes a warning as a notice, in the class that its level selects.
pub(super) fn notice(transport: &mut Transport, warning: &Warning) {
    let (severity, state) = match warning.level {
        Level::Note => ("NOTICE", "00000"),
        Level::Warning | Level::Error => ("WARNING", "01000"),
    };
    let info = info(severity, state, warning.message.clone(), None);
    send(transport, &Backend::NoticeResponse(info.into()));
}

fn info(severity: &str, state: &str, message: String, hint: Option<String>) -> ErrorInfo {
    let mut info = ErrorInfo::new(severity.to_owned(), state.to_owned(), without_zeros(message));
    info.severity_nonlocalized = Some(severity.to_owned());
    info.hint = hint.map(without_zeros);
    info
}

/// Replaces zeros, which would end the field early.
fn without_zeros(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}
