//! The failure of a statement, or of the connection to a server. It becomes the crate's `Error` at the edge.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use crate::error::Error;

#[derive(Debug)]
pub(crate) struct ClientError {
    message: String,
    hint: Option<String>,
    /// SQLSTATE of the server's refusal. Without one the server was not asked.
    code: Option<String>,
}

/// SQLSTATE for a wrong password.
const NO_PASSWORD: &str = "28P01";
const PASSWORD_HINT: &str = "--password-file FILE, or HEAPQL_PASSWORD";

impl ClientError {
    pub(super) fn unreachable(address: &str, error: &io::Error) -> ClientError {
        let hint = "is a server running there, with a PostgreSQL listener? heapql serve starts one".to_owned();
        ClientError { message: format!("cannot connect to {address}: {error}"), hint: Some(hint), code: None }
    }

    pub(crate) fn no_answer(address: &str, timeout: Duration) -> ClientError {
        ClientError {
            message: format!("no answer from {address} within {} s", timeout.as_secs()),
            hint: None,
            code: None,
        }
    }

    /// The message with its SQLSTATE.
    pub(crate) fn words(&self) -> String {
        match &self.code {
            Some(code) => format!("{} (SQLSTATE {code})", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<tokio_postgres::Error> for ClientError {
    fn from(error: tokio_postgres::Error) -> ClientError {
        if let Some(refused) = error.as_db_error() {
            let code = refused.code().code().to_owned();
            let mut hint = refused.hint().map(str::to_owned);
            if code == NO_PASSWORD && hint.is_none() {
                hint = Some(PASSWORD_HINT.to_owned());
            }
            return ClientError { message: refused.message().to_owned(), hint, code: Some(code) };
        }
        // The driver has no other way to tell.
        if error.source().is_some_and(|why| why.to_string() == "password missing") {
            let message = "the server asks for a password".to_owned();
            return ClientError { message, hint: Some(PASSWORD_HINT.to_owned()), code: None };
        }
        ClientError { message: error.to_string(), hint: None, code: None }
    }
}

impl From<Error> for ClientError {
    fn from(error: Error) -> ClientError {
        ClientError { message: error.to_string(), hint: None, code: None }
    }
}

impl From<ClientError> for Error {
    fn from(failed: ClientError) -> Error {
        let error = Error::new(failed.words());
        match failed.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
