//! The message loop after log-in: simple queries, the extended protocol with its "skip to Sync after an error", and
//! the rows of both. Prepared statements and portals are `portal`'s; what statements mean is the session's.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use heapql_server::Failure;
use heapql_sql::{Outcome, Session};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::extendedquery::PortalSuspended;
use pgwire::messages::response::EmptyQueryResponse;
use tracing::debug;

use super::message::{self, Message};
use super::portal::{Plan, Portal, Running, State, Tables, unknown_portal};
use super::reply::{self, Fault, send};
use super::row::{Rows, Shape};
use crate::link::{Link, LinkError};
use crate::verb::{deallocate, excerpt, is_diagnostic, tag_without_count};

pub(super) struct Connection<'a> {
    pub(super) link: &'a mut Link,
    pub(super) session: Arc<Session>,
    pub(super) tables: Tables,
    /// After an error of the extended protocol, up to Sync.
    skipping: bool,
}

/// How far a call to `pump` came.
struct Pumped {
    rows: usize,
    finished: bool,
}

impl<'a> Connection<'a> {
    pub(super) fn new(link: &'a mut Link, session: Arc<Session>) -> Connection<'a> {
        Connection { link, session, tables: Tables::default(), skipping: false }
    }

    pub(super) async fn run(mut self) -> Result<(), LinkError> {
        self.link.flush().await?;
        loop {
            match message::read(self.link).await? {
                Message::Terminate => return Ok(()),
                Message::Sync => self.sync().await?,
                message if message.is_extended() => {
                    if !self.skipping {
                        self.extended(message).await?;
                    }
                }
                Message::Copy => {}
                _ if self.skipping => {}
                Message::Query(text) => self.query(&text).await?,
                Message::Password(_) => return Err(LinkError::Malformed("password after log-in")),
                _ => return Err(LinkError::Malformed("type of message")),
            }
        }
    }

    async fn sync(&mut self) -> Result<(), LinkError> {
        self.skipping = false;
        if !self.session.in_transaction() {
            self.tables.portals.clear();
        }
        reply::ready(self.link, self.session.in_transaction());
        self.link.flush().await
    }

    async fn extended(&mut self, message: Message) -> Result<(), LinkError> {
        let done = match message {
            Message::Parse(parse) => self.parse(parse).await?,
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(target) => self.describe(&target),
            Message::Execute { portal, max_rows } => self.execute(&portal, max_rows).await?,
            Message::Close(target) => {
                self.close(&target);
                Ok(())
            }
            _ => {
                self.link.flush().await?;
                Ok(())
            }
        };
        if let Err(fault) = done {
            debug!("failed: {fault:?}");
            reply::fault(self.link, fault);
            self.skipping = true;
        }
        self.link.flush_if_full().await
    }

    /// Several statements in one message, up to the first that fails.
    async fn query(&mut self, text: &str) -> Result<(), LinkError> {
        self.tables.statements.remove("");
        self.tables.portals.remove("");
        let session = Arc::clone(&self.session);
        match session.statements(text) {
            Err(failure) => reply::fault(self.link, failure.into()),
            Ok(statements) if statements.is_empty() => {
                send(self.link, &Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
            }
            Ok(statements) => {
                for statement in &statements {
                    if let Err(fault) = self.simple(&session, statement).await? {
                        debug!("failed: {fault:?}");
                        reply::fault(self.link, fault);
                        break;
                    }
                }
            }
        }
        reply::ready(self.link, self.session.in_transaction());
        self.link.flush().await
    }

    async fn simple(&mut self, session: &Session, statement: &str) -> Result<Result<(), Fault>, LinkError> {
        debug!(statement = excerpt(statement), "query");
        if let Some(name) = deallocate(statement) {
            return Ok(self.deallocate(name.as_deref()));
        }
        match self.link.watch(session, session.execute(statement)).await? {
            Err(failure) => Ok(Err(failure.into())),
            Ok(Outcome::Done { tag }) => {
                self.done(statement, tag);
                Ok(Ok(()))
            }
            Ok(Outcome::Rows { schema, stream }) => {
                let mut running = match start(&schema, stream, &[]) {
                    Ok(running) => running,
                    Err(fault) => return Ok(Err(fault)),
                };
                send(self.link, &running.shape.description());
                let pumped = self.pump(session, &mut running, 0).await?;
                Ok(pumped.map(|pumped| self.selected(statement, pumped.rows)))
            }
        }
    }

    /// Runs a portal, or goes on with it.
    async fn execute(&mut self, name: &str, max_rows: usize) -> Result<Result<(), Fault>, LinkError> {
        // Taken out while it runs: a portal that fails is gone.
        let Some(mut portal) = self.tables.portals.remove(name) else {
            return Ok(Err(unknown_portal(name)));
        };
        let done = self.run_portal(&mut portal, max_rows).await?;
        if done.is_ok() {
            self.tables.portals.insert(name.to_owned(), portal);
        }
        Ok(done)
    }

    async fn run_portal(&mut self, portal: &mut Portal, max_rows: usize) -> Result<Result<(), Fault>, LinkError> {
        let statement = Arc::clone(&portal.statement);
        let session = Arc::clone(&self.session);
        let state = std::mem::replace(&mut portal.state, State::Done);
        let mut running = match (state, &statement.plan) {
            (_, Plan::Empty) => {
                send(self.link, &Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
                return Ok(Ok(()));
            }
            (_, Plan::Deallocate(name)) => return Ok(self.deallocate(name.as_deref())),
            (State::Ready(values), Plan::Query { prepared, .. }) => {
                let work = session.execute_prepared(prepared, values);
                match self.link.watch(&session, work).await? {
                    Err(failure) => return Ok(Err(failure.into())),
                    Ok(Outcome::Done { tag }) => {
                        self.done(&statement.text, tag);
                        return Ok(Ok(()));
                    }
                    Ok(Outcome::Rows { schema, stream }) => match start(&schema, stream, &portal.formats) {
                        Ok(running) => running,
                        Err(fault) => return Ok(Err(fault)),
                    },
                }
            }
            (State::Running(running), _) => running,
            (State::Done, _) => {
                self.selected(&statement.text, 0);
                return Ok(Ok(()));
            }
        };
        match self.pump(&session, &mut running, max_rows).await? {
            Err(fault) => return Ok(Err(fault)),
            Ok(pumped) if pumped.finished => self.selected(&statement.text, pumped.rows),
            Ok(_) => {
                send(self.link, &Backend::PortalSuspended(PortalSuspended::new()));
                portal.state = State::Running(running);
            }
        }
        Ok(Ok(()))
    }

    /// Sends up to `max_rows` rows; 0 is all. One batch is in memory at a time.
    async fn pump(
        &mut self,
        session: &Session,
        running: &mut Running,
        max_rows: usize,
    ) -> Result<Result<Pumped, Fault>, LinkError> {
        let mut sent = 0;
        loop {
            while let Some(rows) = &mut running.rows {
                if max_rows > 0 && sent == max_rows {
                    return Ok(Ok(Pumped { rows: sent, finished: false }));
                }
                match rows.put_next(&running.shape, &mut self.link.output) {
                    Err(fault) => return Ok(Err(fault)),
                    Ok(true) => sent += 1,
                    Ok(false) => running.rows = None,
                }
                self.link.flush_if_full().await?;
            }
            if max_rows > 0 && sent == max_rows {
                return Ok(Ok(Pumped { rows: sent, finished: false }));
            }
            let batch = match self.link.watch(session, running.stream.next()).await? {
                None => {
                    return Ok(Ok(Pumped { rows: sent, finished: true }));
                }
                Some(batch) => batch,
            };
            let rows = batch
                .map_err(|error| Fault::from(Failure::from_datafusion(error)))
                .and_then(|batch| Rows::of(&running.shape, &batch));
            match rows {
                Ok(rows) => running.rows = Some(rows),
                Err(fault) => return Ok(Err(fault)),
            }
        }
    }

    fn selected(&mut self, statement: &str, rows: usize) {
        self.notices(statement);
        let tag = tag_without_count(statement).map_or_else(|| format!("SELECT {rows}"), str::to_owned);
        reply::complete(self.link, tag);
    }

    fn done(&mut self, statement: &str, tag: String) {
        self.notices(statement);
        if tag == "DISCARD ALL" {
            self.tables = Tables::default();
        }
        if tag.is_empty() {
            send(self.link, &Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
        } else {
            reply::complete(self.link, tag);
        }
    }

    fn notices(&mut self, statement: &str) {
        if is_diagnostic(statement) {
            return;
        }
        for warning in self.session.warnings() {
            reply::notice(self.link, &warning);
        }
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<(), Fault> {
        let tag = self.tables.deallocate(name)?;
        reply::complete(self.link, tag.to_owned());
        Ok(())
    }
}

fn start(schema: &Schema, stream: SendableRecordBatchStream, formats: &[i16]) -> Result<Running, Fault> {
    Ok(Running { shape: Shape::of(schema, formats)?, stream, rows: None })
}
