//! The error of a verb: a sentence, a hint, and the exit status.
//!
//! Errors of SQL are the server's `Failure`, which becomes an `Error` at the edge. Every verb ends in one or in an exit status.

use std::fmt;
use std::process::ExitCode;

use heapql_server::Failure;

use crate::stderr::say;

/// Exit status of a failure.
const FAILED: u8 = 1;
/// Exit status for a wrong command line or configuration file.
const USAGE: u8 = 2;

#[derive(Debug)]
pub(crate) struct Error {
    message: String,
    hint: Option<String>,
    status: u8,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), hint: None, status: FAILED }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Error {
        Error { status: USAGE, ..Error::new(message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn status(mut self, status: u8) -> Error {
        self.status = status;
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }

    pub(crate) fn print(&self) {
        say!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            say!("hint: {hint}");
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error { message: failure.message, hint: failure.hint, status: FAILED }
    }
}
