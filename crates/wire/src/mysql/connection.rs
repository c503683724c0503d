//! The command loop after log-in. Prepared statements are in `statement`; the meaning of statements is the session's.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, Bytes};
use heapql_server::{Dialect, Failure};
use heapql_sql::{Engine, Login, Outcome, Session};
use tracing::debug;

use super::column::{ColumnDefinition, define};
use super::login::{self, LoggedIn};
use super::packet::PacketStream;
use super::protocol::*;
use super::rows::{self, RowFormat};
use super::statement::PreparedStatements;
use super::{change_user, reply};
use crate::codes;
use crate::cursor::MessageCursor;
use crate::log_excerpt::excerpt;
use crate::transport::TransportError;

pub(super) struct MysqlConnection<'a> {
    pub(super) wire: &'a mut PacketStream,
    engine: Arc<Engine>,
    login: LoggedIn,
    /// The database at log-in, which COM_RESET_CONNECTION restores.
    login_database: String,
    multi_statements: bool,
    connected_at: Instant,
    pub(super) statements: PreparedStatements,
}

impl<'a> MysqlConnection<'a> {
    pub(super) fn new(wire: &'a mut PacketStream, engine: Arc<Engine>, login: LoggedIn) -> MysqlConnection<'a> {
        MysqlConnection {
            wire,
            engine,
            login_database: login.session.database(),
            multi_statements: login.capabilities & CLIENT_MULTI_STATEMENTS != 0,
            login,
            connected_at: Instant::now(),
            statements: PreparedStatements::default(),
        }
    }

    pub(super) async fn run(mut self) -> Result<(), TransportError> {
        loop {
            self.wire.transport.flush().await?;
            let message = self.wire.read().await?;
            let Some(command) = message.first() else {
                return Err(TransportError::Malformed("command"));
            };
            match self.answer(*command, message.slice(1..)).await? {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(()) => return Ok(()),
            }
        }
    }

    async fn answer(&mut self, command: u8, body: Bytes) -> Result<ControlFlow<()>, TransportError> {
        match command {
            COM_QUIT => return Ok(ControlFlow::Break(())),
            COM_QUERY => self.query(&body).await?,
            COM_PING => self.ok(false, 0),
            COM_INIT_DB => self.use_database(&body),
            COM_FIELD_LIST => self.list_fields(&body).await?,
            COM_STATISTICS => self.statistics(),
            COM_PROCESS_KILL => {
                let id = MessageCursor::new(&body).u32_le("connection id")?;
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
        Ok(ControlFlow::Continue(()))
    }

    pub(super) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.login.session)
    }

    pub(super) fn deprecate_eof(&self) -> bool {
        self.login.capabilities & CLIENT_DEPRECATE_EOF != 0
    }

    pub(super) fn status(&self, more: bool) -> u16 {
        let transaction = if self.login.session.in_transaction() { SERVER_STATUS_IN_TRANS } else { 0 };
        let more = if more { SERVER_MORE_RESULTS_EXISTS } else { 0 };
        SERVER_STATUS_AUTOCOMMIT | transaction | more
    }

    pub(super) fn ok(&mut self, more: bool, warnings: u16) {
        let status = self.status(more);
        reply::ok(self.wire, status, warnings);
    }

    /// The text of a command. Returns None for bytes that are not UTF-8, after it has answered them.
    pub(super) fn text<'b>(&mut self, body: &'b [u8]) -> Option<&'b str> {
        match std::str::from_utf8(body) {
            Ok(text) => Some(text),
            Err(_) => {
                reply::error(self.wire, codes::BAD_TEXT, "Invalid utf8mb4 character string");
                None
            }
        }
    }

    async fn query(&mut self, body: &[u8]) -> Result<(), TransportError> {
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

    /// Runs statements one after the other, up to the first that fails.
    async fn query_all(&mut self, session: &Arc<Session>, statements: &[String]) -> Result<(), TransportError> {
        for (index, statement) in statements.iter().enumerate() {
            debug!(statement = excerpt(statement), "query");
            let more = index + 1 < statements.len();
            let outcome = self.wire.transport.watch(session, session.execute(statement)).await?;
            if !self.send(session, outcome, RowFormat::Text, more).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends the outcome of a statement. Returns false when the statement failed.
    pub(super) async fn send(
        &mut self,
        session: &Session,
        outcome: Result<Outcome, Failure>,
        format: RowFormat,
        more: bool,
    ) -> Result<bool, TransportError> {
        let warnings = || u16::try_from(session.warnings().len()).unwrap_or(u16::MAX);
        let deprecate_eof = self.deprecate_eof();
        let sent = match outcome {
            Err(failure) => Err(failure),
            Ok(Outcome::Done { .. } | Outcome::Deallocate { .. }) => {
                self.ok(more, warnings());
                Ok(())
            }
            Ok(Outcome::Rows { schema, stream, label }) => {
                let status = self.status(more);
                let sent = rows::send(self.wire, session, &schema, stream, format, deprecate_eof, status).await?;
                if sent.is_ok() {
                    let warnings = if label.is_diagnostic { 0 } else { warnings() };
                    reply::end_of_rows(self.wire, deprecate_eof, status, warnings);
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
        match self.login.session.use_database(name) {
            Ok(()) => self.ok(false, 0),
            Err(failure) => reply::failure(self.wire, &failure),
        }
    }

    /// Lists the columns of a table with empty defaults. The mysql client uses them for completion.
    async fn list_fields(&mut self, body: &[u8]) -> Result<(), TransportError> {
        let table = MessageCursor::new(body).text("table name")?;
        let session = self.session();
        let query = format!("SELECT * FROM `{}`", table.replace('`', "``"));
        let prepared = self.wire.transport.watch(&session, session.prepare(&query, &[])).await?;
        match prepared {
            Ok(prepared) => {
                for field in prepared.schema.iter().flat_map(|schema| schema.fields().iter()) {
                    let definition = ColumnDefinition::new(field);
                    self.wire.write(|out| {
                        define(out, field.name(), definition);
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

    /// Answers the client's `status` command with a text without a header.
    fn statistics(&mut self) {
        let threads = self.engine.server().connections().list().len();
        let uptime = self.connected_at.elapsed().as_secs();
        self.wire.write(|out| {
            out.put_slice(format!("Uptime: {uptime}  Threads: {threads}  Questions: 0  Slow queries: 0").as_bytes());
        });
    }

    fn set_option(&mut self, body: &[u8]) -> Result<(), TransportError> {
        match MessageCursor::new(body).u16_le("option")? {
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

    /// Restores the state after log-in: nothing is set, nothing is prepared.
    fn reset(&mut self) {
        let login = Login {
            user: self.login.user.clone(),
            database: Some(self.login_database.clone()),
            dialect: Dialect::MySql,
            peer: self.wire.transport.peer(),
            connection_id: self.wire.transport.id(),
        };
        match Session::open(&self.engine, login) {
            Ok(session) => {
                self.replace_session(session);
                self.ok(false, 0);
            }
            Err(failure) => reply::failure(self.wire, &failure),
        }
    }

    fn replace_session(&mut self, session: Arc<Session>) {
        self.login.session = session;
        self.statements = PreparedStatements::default();
    }

    async fn change_user(&mut self, body: &Bytes) -> Result<ControlFlow<()>, TransportError> {
        let credentials = change_user::read_credentials(body, self.login.capabilities)?;
        let salt = self.login.salt;
        match login::admit(self.wire, &self.engine, &salt, credentials).await? {
            Some((session, user)) => {
                self.login_database = session.database();
                self.login.user = user;
                self.replace_session(session);
                Ok(ControlFlow::Continue(()))
            }
            None => Ok(ControlFlow::Break(())),
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
