//! The interface of both protocols' clients.

use super::{Answer, SqlError};

/// A user, a password and a database.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
}

impl Login {
    /// The documented login: root@sys, database oceanbase, no password.
    pub(crate) fn root() -> Login {
        Login { user: "root@sys".to_owned(), password: None, database: Some("oceanbase".to_owned()) }
    }

    pub(crate) fn user(user: &str) -> Login {
        Login { user: user.to_owned(), ..Login::root() }
    }

    pub(crate) fn password(mut self, password: &str) -> Login {
        self.password = Some(password.to_owned());
        self
    }

    pub(crate) fn database(mut self, database: &str) -> Login {
        self.database = Some(database.to_owned());
        self
    }
}

/// A connection that runs one statement at a time.
pub(crate) trait Client {
    /// "mysql" or "postgres".
    fn protocol(&self) -> &'static str;

    fn try_query(&mut self, sql: &str) -> Result<Answer, SqlError>;

    /// Messages of the warnings of the last statement.
    fn try_warnings(&mut self) -> Result<Vec<String>, SqlError>;

    fn warnings(&mut self) -> Vec<String> {
        self.try_warnings().unwrap_or_else(|error| panic!("{}: warnings: {error}", self.protocol()))
    }

    fn query(&mut self, sql: &str) -> Answer {
        self.try_query(sql).unwrap_or_else(|error| panic!("{}: {sql}: {error}", self.protocol()))
    }

    fn refused(&mut self, sql: &str) -> SqlError {
        match self.try_query(sql) {
            Ok(answer) => panic!("{}: {sql} was answered with {answer:?}", self.protocol()),
            Err(error) => error,
        }
    }

    /// Whether the connection still answers.
    fn assert_alive(&mut self) {
        assert_eq!(self.query("SELECT 41 + 1").value(), "42", "{}", self.protocol());
    }
}
