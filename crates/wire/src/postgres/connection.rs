//! The message loop after log-in: simple queries, the extended protocol, which skips to Sync after an error, and the rows of both.
//! Prepared statements and portals are `portal`'s; the meaning of statements is the session's.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use heapql_server::Failure;
use heapql_sql::{Outcome, RowsLabel, Session};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::extendedquery::PortalSuspended;
use pgwire::messages::response::EmptyQueryResponse;
use tracing::debug;

use super::message::{self, FrontendMessage};
use super::portal::{Portal, PortalState, RunningQuery, StatementPlan, StatementTables, unknown_portal};
use super::reply::{self, ErrorReply, send};
use super::row::{BatchRows, ResultColumns};
use crate::log_excerpt::excerpt;
use crate::transport::{Transport, TransportError};

pub(super) struct PostgresConnection<'a> {
    pub(super) transport: &'a mut Transport,
    pub(super) session: Arc<Session>,
    pub(super) tables: StatementTables,
    /// True after an error of the extended protocol, up to Sync.
    skipping: bool,
}

/// The progress of a call to `send_rows`.
struct SendProgress {
    rows: usize,
    finished: bool,
}

impl<'a> PostgresConnection<'a> {
    pub(super) fn new(transport: &'a mut Transport, session: Arc<Session>) -> PostgresConnection<'a> {
        PostgresConnection { transport, session, tables: StatementTables::default(), skipping: false }
    }

    pub(super) async fn run(mut self) -> Result<(), TransportError> {
        self.transport.flush().await?;
        loop {
            match message::read(self.transport).await? {
                FrontendMessage::Terminate => return Ok(()),
                FrontendMessage::Sync => self.sync().await?,
                message if message.is_extended() => {
                    if !self.skipping {
                        self.extended(message).await?;
                    }
                }
                FrontendMessage::Copy => {}
                _ if self.skipping => {}
                FrontendMessage::Query(text) => self.query(&text).await?,
                FrontendMessage::Password(_) => return Err(TransportError::Malformed("password after log-in")),
                _ => return Err(TransportError::Malformed("type of message")),
            }
        }
    }

    async fn sync(&mut self) -> Result<(), TransportError> {
        self.skipping = false;
        if !self.session.in_transaction() {
            self.tables.portals.clear();
        }
        reply::ready(self.transport, self.session.in_transaction());
        self.transport.flush().await
    }

    async fn extended(&mut self, message: FrontendMessage) -> Result<(), TransportError> {
        let done = match message {
            FrontendMessage::Parse(parse) => self.parse(parse).await?,
            FrontendMessage::Bind(bind) => self.bind(bind),
            FrontendMessage::Describe(target) => self.describe(&target),
            FrontendMessage::Execute { portal, max_rows } => self.execute(&portal, max_rows).await?,
            FrontendMessage::Close(target) => {
                self.close(&target);
                Ok(())
            }
            _ => {
                self.transport.flush().await?;
                Ok(())
            }
        };
        if let Err(error) = done {
            debug!("failed: {error:?}");
            reply::error(self.transport, error);
            self.skipping = true;
        }
        self.transport.flush_if_full().await
    }

    /// Runs the statements of one message, up to the first that fails.
    async fn query(&mut self, text: &str) -> Result<(), TransportError> {
        self.tables.statements.remove("");
        self.tables.portals.remove("");
        let session = Arc::clone(&self.session);
        match session.statements(text) {
            Err(failure) => reply::error(self.transport, failure.into()),
            Ok(statements) if statements.is_empty() => {
                send(self.transport, &Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
            }
            Ok(statements) => {
                for statement in &statements {
                    if let Err(error) = self.simple(&session, statement).await? {
                        debug!("failed: {error:?}");
                        reply::error(self.transport, error);
                        break;
                    }
                }
            }
        }
        reply::ready(self.transport, self.session.in_transaction());
        self.transport.flush().await
    }

    async fn simple(
        &mut self,
        session: &Arc<Session>,
        statement: &str,
    ) -> Result<Result<(), ErrorReply>, TransportError> {
        debug!(statement = excerpt(statement), "query");
        match self.transport.watch(session, session.execute(statement)).await? {
            Err(failure) => Ok(Err(failure.into())),
            Ok(Outcome::Done { tag }) => {
                self.done(tag);
                Ok(Ok(()))
            }
            Ok(Outcome::Deallocate { name }) => Ok(self.deallocate(name.as_deref())),
            Ok(Outcome::Rows { schema, stream, label }) => {
                let mut running = match start(&schema, stream, label, &[]) {
                    Ok(running) => running,
                    Err(error) => return Ok(Err(error)),
                };
                send(self.transport, &running.columns.description());
                let progress = self.send_rows(session, &mut running, 0).await?;
                Ok(progress.map(|progress| self.selected(label, progress.rows)))
            }
        }
    }

    /// Runs a portal, or continues it.
    async fn execute(&mut self, name: &str, max_rows: usize) -> Result<Result<(), ErrorReply>, TransportError> {
        // It is taken out while it runs, so that a portal that fails is gone.
        let Some(mut portal) = self.tables.portals.remove(name) else {
            return Ok(Err(unknown_portal(name)));
        };
        let done = self.run_portal(&mut portal, max_rows).await?;
        if done.is_ok() {
            self.tables.portals.insert(name.to_owned(), portal);
        }
        Ok(done)
    }

    async fn run_portal(
        &mut self,
        portal: &mut Portal,
        max_rows: usize,
    ) -> Result<Result<(), ErrorReply>, TransportError> {
        let statement = Arc::clone(&portal.statement);
        let session = Arc::clone(&self.session);
        let state = std::mem::replace(&mut portal.state, PortalState::Done(RowsLabel::default()));
        let mut running = match (state, &statement.plan) {
            (_, StatementPlan::Empty) => {
                send(self.transport, &Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
                return Ok(Ok(()));
            }
            (PortalState::Ready(values), StatementPlan::Query { prepared, .. }) => {
                let work = session.execute_prepared(prepared, values);
                match self.transport.watch(&session, work).await? {
                    Err(failure) => return Ok(Err(failure.into())),
                    Ok(Outcome::Done { tag }) => {
                        self.done(tag);
                        return Ok(Ok(()));
                    }
                    Ok(Outcome::Deallocate { name }) => return Ok(self.deallocate(name.as_deref())),
                    Ok(Outcome::Rows { schema, stream, label }) => match start(&schema, stream, label, &portal.formats)
                    {
                        Ok(running) => running,
                        Err(error) => return Ok(Err(error)),
                    },
                }
            }
            (PortalState::Running(running), _) => running,
            (PortalState::Done(label), _) => {
                portal.state = PortalState::Done(label);
                self.selected(label, 0);
                return Ok(Ok(()));
            }
        };
        let label = running.label;
        match self.send_rows(&session, &mut running, max_rows).await? {
            Err(error) => return Ok(Err(error)),
            Ok(progress) if progress.finished => {
                portal.state = PortalState::Done(label);
                self.selected(label, progress.rows);
            }
            Ok(_) => {
                send(self.transport, &Backend::PortalSuspended(PortalSuspended::new()));
                portal.state = PortalState::Running(running);
            }
        }
        Ok(Ok(()))
    }

    /// Sends up to `max_rows` rows, or all for 0. One batch is in memory at a time.
    async fn send_rows(
        &mut self,
        session: &Session,
        running: &mut RunningQuery,
        max_rows: usize,
    ) -> Result<Result<SendProgress, ErrorReply>, TransportError> {
        let mut sent = 0;
        loop {
            while let Some(rows) = &mut running.rows {
                if max_rows > 0 && sent == max_rows {
                    return Ok(Ok(SendProgress { rows: sent, finished: false }));
                }
                match rows.put_next(&running.columns, &mut self.transport.output) {
                    Err(error) => return Ok(Err(error)),
                    Ok(true) => sent += 1,
                    Ok(false) => running.rows = None,
                }
                self.transport.flush_if_full().await?;
            }
            if max_rows > 0 && sent == max_rows {
                return Ok(Ok(SendProgress { rows: sent, finished: false }));
            }
            let batch = match self.transport.watch(session, running.stream.next()).await? {
                None => {
                    return Ok(Ok(SendProgress { rows: sent, finished: true }));
                }
                Some(batch) => batch,
            };
            let rows = batch
                .map_err(|error| ErrorReply::from(Failure::from_datafusion(error)))
                .and_then(|batch| BatchRows::new(&running.columns, &batch));
            match rows {
                Ok(rows) => running.rows = Some(rows),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Completes a statement with rows.
    fn selected(&mut self, label: RowsLabel, rows: usize) {
        if !label.is_diagnostic {
            self.notices();
        }
        reply::complete(self.transport, label.tag.map_or_else(|| format!("SELECT {rows}"), str::to_owned));
    }

    /// Completes a statement without rows.
    fn done(&mut self, tag: String) {
        self.notices();
        if tag == "DISCARD ALL" {
            self.tables = StatementTables::default();
        }
        if tag.is_empty() {
            send(self.transport, &Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
        } else {
            reply::complete(self.transport, tag);
        }
    }

    fn notices(&mut self) {
        for warning in self.session.warnings() {
            reply::notice(self.transport, &warning);
        }
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<(), ErrorReply> {
        let tag = self.tables.deallocate(name)?;
        reply::complete(self.transport, tag.to_owned());
        Ok(())
    }
}

fn start(
    schema: &Schema,
    stream: SendableRecordBatchStream,
    label: RowsLabel,
    formats: &[i16],
) -> Result<RunningQuery, ErrorReply> {
    Ok(RunningQuery { columns: ResultColumns::new(schema, formats)?, stream, label, rows: None })
}
