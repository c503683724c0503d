//! Why a statement, or the connection to a server, failed.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Failed {
    message: String,
    hint: Option<String>,
    /// Of SQL: what the server refused. Without one it was not even asked.
    code: Option<String>,
}

/// SQLSTATE of a wrong password.
const NO_PASSWORD: &str = "28P01";
const PASSWORD_HINT: &str = "--password-file FILE, or HEAPQL_PASSWORD";

impl Failed {
    pub(super) fn unreachable(address: &str, error: &io::Error) -> Failed {
        let hint = "is a server running there, with a PostgreSQL listener? heapql serve starts one".to_owned();
        Failed { message: format!("cannot connect to {address}: {error}"), hint: Some(hint), code: None }
    }

    pub(crate) fn no_answer(address: &str, within: Duration) -> Failed {
        Failed { message: format!("no answer from {address} within {} s", within.as_secs()), hint: None, code: None }
    }

    /// The message and its SQLSTATE.
    pub(crate) fn words(&self) -> String {
        match &self.code {
            Some(code) => format!("{} (SQLSTATE {code})", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Failed {
        if let Some(refused) = error.as_db_error() {
            let code = refused.code().code().to_owned();
            let mut hint = refused.hint().map(str::to_owned);
            if code == NO_PASSWORD && hint.is_none() {
                hint = Some(PASSWORD_HINT.to_owned());
            }
            return Failed { message: refused.message().to_owned(), hint, code: Some(code) };
        }
        // The driver has no other way to tell.
        if error.source().is_some_and(|why| why.to_string() == "password missing") {
            let message = "the server asks for a password".to_owned();
            return Failed { message, hint: Some(PASSWORD_HINT.to_owned()), code: None };
        }
        Failed { message: error.to_string(), hint: None, code: None }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { message: error.to_string(), hint: None, code: None }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Error {
        let error = Error::new(failed.words());
        match failed.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
