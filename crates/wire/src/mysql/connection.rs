//! The command loop after log-in: reads a command, answers it, until the client leaves. Prepared statements are in
//! `statement`; what statements mean is the session's.

use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, Bytes};
use heapql_server::{Dialect, Failure};
use heapql_sql::{Engine, Login, Outcome, Session};
use tracing::debug;

use super::column::{Shape, define};
use super::handshake::{self, Guest};
use super::packet::Wire;
use super::protocol::*;
use super::rows::{self, Form};
use super::statement::Statements;
use super::{change_user, reply};
use crate::codes;
use crate::cursor::Cursor;
use crate::link::LinkError;
use crate::verb::{excerpt, is_diagnostic};

pub(super) struct Connection<'a> {
    pub(super) wire: &'a mut Wire,
    engine: Arc<Engine>,
    guest: Guest,
    /// The database at log-in, to which COM_RESET_CONNECTION returns.
    home: String,
    multi_statements: bool,
    connected_at: Instant,
    pub(super) statements: Statements,
}

/// Whether the loop goes on.
enum Next {
    Command,
    End,
}

impl<'a> Connection<'a> {
    pub(super) fn new(wire: &'a mut Wire, engine: Arc<Engine>, guest: Guest) -> Connection<'a> {
        Connection {
            wire,
            engine,
            home: guest.session.database(),
            multi_statements: guest.capabilities & CLIENT_MULTI_STATEMENTS != 0,
            guest,
            connected_at: Instant::now(),
            statements: Statements::default(),
        }
    }

    pub(super) async fn run(mut self) -> Result<(), LinkError> {
        loop {
            self.wire.link.flush().await?;
            let message = self.wire.read().await?;
            let Some(command) = message.first() else {
                return Err(LinkError::Malformed("command"));
            };
            match self.answer(*command, message.slice(1..)).await? {
                Next::Command => {}
                Next::End => return Ok(()),
            }
        }
    }

    async fn answer(&mut self, command: u8, body: Bytes) -> Result<Next, LinkError> {
        match command {
            COM_QUIT => return Ok(Next::End),
            COM_QUERY => self.query(&body).await?,
            COM_PING => self.ok(false, 0),
            COM_INIT_DB => self.use_database(&body),
            COM_FIELD_LIST => self.list_fields(&body).await?,
            COM_STATISTICS => self.statistics(),
            COM_PROCESS_KILL => {
                let id = Cursor::new(&body).u32_le("connection id")?;
                self.query(format!("KILL {id}").as_bytes()).await?;
            }
            COM_SET_OPTION => self.set_option(&body)?,
            COM_RESET_CONNECTION => self.reset(),
            COM_CHANGE_USER => return self.change_user(&body).await,
            COM_STMT_PREPARE => self.prepare(&body).await?,
            COM_STMT_EXECUTE => self.execute(&body).await?,
            COM_STMT_SEND_LONG_DATA => self.statements.append(&body)?,
            COM_STMT_CLOSE => self.statements.close(&body)?,
            COM_STMT_RESET => self.reset_statement(&body)?,
            other => reply::error(self.wire, codes::UNKNOWN_COMMAND, &format!("Unknown command 0x{other:02x}")),
        }
        Ok(Next::Command)
    }

    pub(super) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.guest.session)
    }

    pub(super) fn deprecate_eof(&self) -> bool {
        self.guest.capabilities & CLIENT_DEPRECATE_EOF != 0
    }

    pub(super) fn status(&self, more: bool) -> u16 {
        let transaction = if self.guest.session.in_transaction() { SERVER_STATUS_IN_TRANS } else { 0 };
        let more = if more { SERVER_MORE_RESULTS_EXISTS } else { 0 };
        SERVER_STATUS_AUTOCOMMIT | transaction | more
    }

    pub(super) fn ok(&mut self, more: bool, warnings: u16) {
        let status = self.status(more);
        reply::ok(self.wire, status, warnings);
    }

    /// The text of a command; what is not UTF-8 has been answered.
    pub(super) fn text<'b>(&mut self, body: &'b [u8]) -> Option<&'b str> {
        match std::str::from_utf8(body) {
            Ok(text) => Some(text),
            Err(_) => {
                reply::error(self.wire, codes::BAD_TEXT, "Invalid utf8mb4 character string");
                None
            }
        }
    }

    async fn query(&mut self, body: &[u8]) -> Result<(), LinkError> {
        let Some(text) = self.text(body) else {
            return Ok(());
        };
        let session = self.session();
        let statements = match session.statements(text) {
            Ok(statements) => statements,
            Err(failure) => {
                reply::failure(self.wire, &failure);
                return Ok(());
            }
        };
        if statements.is_empty() {
            reply::error(self.wire, codes::EMPTY_QUERY, "Query was empty");
        } else if statements.len() > 1 && !self.multi_statements {
            reply::failure(self.wire, &several());
        } else {
            self.query_all(&session, &statements).await?;
        }
        Ok(())
    }

    /// One after the other, up to the first that fails.
    async fn query_all(&mut self, session: &Session, statements: &[String]) -> Result<(), LinkError> {
        for (index, statement) in statements.iter().enumerate() {
            debug!(statement = excerpt(statement), "query");
            let more = index + 1 < statements.len();
            let outcome = self.wire.link.watch(session, session.execute(statement)).await?;
            if !self.send(session, outcome, Form::Text, more, is_diagnostic(statement)).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends what a statement came to; false when it failed.
    pub(super) async fn send(
        &mut self,
        session: &Session,
        outcome: Result<Outcome, Failure>,
        form: Form,
        more: bool,
        diagnostic: bool,
    ) -> Result<bool, LinkError> {
        let warnings = || match diagnostic {
            true => 0,
            false => u16::try_from(session.warnings().len()).unwrap_or(u16::MAX),
        };
        let deprecate_eof = self.deprecate_eof();
        let sent = match outcome {
            Err(failure) => Err(failure),
            Ok(Outcome::Done { .. }) => {
                self.ok(more, warnings());
                Ok(())
            }
            Ok(Outcome::Rows { schema, stream }) => {
                let status = self.status(more);
                let sent = rows::send(self.wire, session, &schema, stream, form, deprecate_eof, status).await?;
                if sent.is_ok() {
                    reply::end_of_rows(self.wire, deprecate_eof, status, warnings());
                }
                sent
            }
        };
        if let Err(failure) = &sent {
            debug!("failed: {failure}");
            reply::failure(self.wire, failure);
        }
        Ok(sent.is_ok())
    }

    fn use_database(&mut self, body: &[u8]) {
        let Some(name) = self.text(body) else {
            return;
        };
        match self.guest.session.use_database(name) {
            Ok(()) => self.ok(false, 0),
            Err(failure) => reply::failure(self.wire, &failure),
        }
    }

    /// The columns of a table with empty defaults: how the mysql client learns names to complete.
    async fn list_fields(&mut self, body: &[u8]) -> Result<(), LinkError> {
        let table = Cursor::new(body).text("table name")?;
        let session = self.session();
        let query = format!("SELECT * FROM `{}`", table.replace('`', "``"));
        let prepared = self.wire.link.watch(&session, session.prepare(&query, &[])).await?;
        match prepared {
            Ok(prepared) => {
                for field in prepared.schema.iter().flat_map(|schema| schema.fields().iter()) {
                    let shape = Shape::of(field);
                    self.wire.write(|out| {
                        define(out, field.name(), shape);
                        out.put_u8(0xfb);
                    });
                }
                let (deprecate_eof, status) = (self.deprecate_eof(), self.status(false));
                reply::end_of_rows(self.wire, deprecate_eof, status, 0);
            }
            Err(failure) => reply::failure(self.wire, &failure),
        }
        Ok(())
    }

    /// What the client's `status` command shows: a text without any header.
    fn statistics(&mut self) {
        let threads = self.engine.server().connections().list().len();
        let uptime = self.connected_at.elapsed().as_secs();
        self.wire.write(|out| {
            out.put_slice(format!("Uptime: {uptime}  Threads: {threads}  Questions: 0  Slow queries: 0").as_bytes());
        });
    }

    fn set_option(&mut self, body: &[u8]) -> Result<(), LinkError> {
        match Cursor::new(body).u16_le("option")? {
            0 => self.multi_statements = true,
            1 => self.multi_statements = false,
            _ => {
                reply::error(self.wire, codes::UNKNOWN_COMMAND, "Unknown option");
                return Ok(());
            }
        }
        let status = self.status(false);
        reply::eof(self.wire, status, 0);
        Ok(())
    }

    /// As after log-in: nothing set, nothing prepared.
    fn reset(&mut self) {
        let login = Login {
            user: self.guest.user.clone(),
            database: Some(self.home.clone()),
            dialect: Dialect::MySql,
            peer: self.wire.link.peer(),
            connection_id: self.wire.link.id(),
        };
        match Session::open(&self.engine, login) {
            Ok(session) => {
                self.become_new(session);
                self.ok(false, 0);
            }
            Err(failure) => reply::failure(self.wire, &failure),
        }
    }

    fn become_new(&mut self, session: Session) {
        self.guest.session = Arc::new(session);
        self.statements = Statements::default();
    }

    async fn change_user(&mut self, body: &Bytes) -> Result<Next, LinkError> {
        let claim = change_user::read_claim(body, self.guest.capabilities)?;
        let salt = self.guest.salt;
        match handshake::admit(self.wire, &self.engine, &salt, claim).await? {
            Some((session, user)) => {
                self.home = session.database();
                self.guest.user = user;
                self.become_new(session);
                Ok(Next::Command)
            }
            None => Ok(Next::End),
        }
    }
}

fn several() -> Failure {
    Failure::new(
        heapql_server::FailureKind::Syntax,
        "several statements in one query, and the client did not ask for that",
    )
    .hint("send them one by one, or connect with CLIENT_MULTI_STATEMENTS (allowMultiQueries=true)")
}
