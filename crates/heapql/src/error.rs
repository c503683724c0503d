//! Why a verb failed: a sentence, what to do about it, and the exit status.
//!
//! Not the errors of SQL: those are the catalog's `Failure`, which becomes one of these at the edge. Every verb ends in
//! one of these or in an exit status.

use std::fmt;
use std::process::ExitCode;

use heapql_server::Failure;

use crate::talk::say;

/// Something went wrong.
const FAILED: u8 = 1;
/// The command line or a configuration file is wrong.
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
