//! Prepared statements and portals: the two bounded tables of the extended protocol, and the messages on them. The rows of an Execute
//! are `connection`'s.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use heapql_server::{Failure, FailureKind};
use heapql_sql::{Prepared, RowsLabel};
use pgwire::api::Type;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete};
use tracing::debug;

use super::connection::PostgresConnection;
use super::message::{Bind, Parse, StatementOrPortal};
use super::parameter;
use super::reply::{ErrorReply, send};
use super::row::{BatchRows, ResultColumns};
use crate::codes;
use crate::log_excerpt::excerpt;
use crate::transport::TransportError;

const MAX_STATEMENTS: usize = 1024;
/// Maximum number of portals. A running one holds a query open.
const MAX_PORTALS: usize = 64;

pub(super) struct PreparedStatement {
    pub(super) plan: StatementPlan,
}

pub(super) enum StatementPlan {
    /// A text without a statement, such as ";".
    Empty,
    Query {
        prepared: Prepared,
        types: Vec<Type>,
    },
}

pub(super) struct Portal {
    pub(super) statement: Arc<PreparedStatement>,
    pub(super) formats: Vec<i16>,
    pub(super) state: PortalState,
}

pub(super) enum PortalState {
    /// Bound to values, and not executed yet.
    Ready(Vec<ScalarValue>),
    Running(RunningQuery),
    /// All rows were sent, or the statement has none.
    Done(RowsLabel),
}

/// A query whose rows are being sent.
pub(super) struct RunningQuery {
    pub(super) columns: ResultColumns,
    pub(super) stream: SendableRecordBatchStream,
    pub(super) label: RowsLabel,
    /// The batch that is being sent.
    pub(super) rows: Option<BatchRows>,
}

#[derive(Default)]
pub(super) struct StatementTables {
    pub(super) statements: HashMap<String, Arc<PreparedStatement>>,
    pub(super) portals: HashMap<String, Portal>,
}

impl StatementTables {
    fn statement(&self, name: &str) -> Result<Arc<PreparedStatement>, ErrorReply> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = format!("prepared statement \"{name}\" does not exist");
            ErrorReply::new(codes::UNKNOWN_STATEMENT, message)
        })
    }

    fn portal(&self, name: &str) -> Result<&Portal, ErrorReply> {
        self.portals.get(name).ok_or_else(|| unknown_portal(name))
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<&'static str, ErrorReply> {
        match name {
            None => {
                self.statements.clear();
                Ok("DEALLOCATE ALL")
            }
            Some(name) => {
                self.statement(name)?;
                self.statements.remove(name);
                Ok("DEALLOCATE")
            }
        }
    }
}

pub(super) fn unknown_portal(name: &str) -> ErrorReply {
    ErrorReply::new(codes::UNKNOWN_PORTAL, format!("portal \"{name}\" does not exist"))
}

impl PostgresConnection<'_> {
    pub(super) async fn parse(&mut self, parse: Parse) -> Result<Result<(), ErrorReply>, TransportError> {
        if self.tables.statements.len() >= MAX_STATEMENTS && !self.tables.statements.contains_key(&parse.name) {
            let message = format!("more than {MAX_STATEMENTS} prepared statements in one connection");
            return Ok(Err(ErrorReply::new(codes::TOO_MANY_STATEMENTS, message)));
        }
        debug!(statement = excerpt(&parse.query), "parse");
        // A Parse that fails removes the earlier statement of this name.
        self.tables.statements.remove(&parse.name);
        let plan = match self.plan(&parse).await? {
            Ok(plan) => plan,
            Err(error) => return Ok(Err(error)),
        };
        let statement = PreparedStatement { plan };
        self.tables.statements.insert(parse.name, Arc::new(statement));
        send(self.transport, &Backend::ParseComplete(ParseComplete::new()));
        Ok(Ok(()))
    }

    async fn plan(&mut self, parse: &Parse) -> Result<Result<StatementPlan, ErrorReply>, TransportError> {
        let session = Arc::clone(&self.session);
        let statement = match session.statements(&parse.query) {
            Ok(statements) if statements.len() > 1 => return Ok(Err(several().into())),
            Ok(statements) => statements.into_iter().next(),
            Err(failure) => return Ok(Err(failure.into())),
        };
        let Some(statement) = statement else {
            return Ok(Ok(StatementPlan::Empty));
        };
        let given: Vec<Option<DataType>> = parse.types.iter().map(|oid| parameter::arrow_type(*oid)).collect();
        let prepared = self.transport.watch(&session, session.prepare(&statement, &given)).await?;
        Ok(prepared
            .map_err(ErrorReply::from)
            .map(|prepared| StatementPlan::Query { types: parameter::types(&parse.types, &prepared), prepared }))
    }

    pub(super) fn bind(&mut self, bind: Bind) -> Result<(), ErrorReply> {
        let statement = self.tables.statement(&bind.statement)?;
        if self.tables.portals.len() >= MAX_PORTALS && !self.tables.portals.contains_key(&bind.portal) {
            let message = format!("more than {MAX_PORTALS} open portals in one connection");
            return Err(ErrorReply::new(codes::TOO_MANY_STATEMENTS, message));
        }
        let values = match &statement.plan {
            StatementPlan::Query { prepared, types } => {
                if let Some(schema) = &prepared.schema {
                    ResultColumns::new(schema, &bind.result_formats)?;
                }
                parameter::read(&bind, types, prepared)?
            }
            StatementPlan::Empty => Vec::new(),
        };
        let portal = Portal { statement, formats: bind.result_formats, state: PortalState::Ready(values) };
        self.tables.portals.insert(bind.portal, portal);
        send(self.transport, &Backend::BindComplete(BindComplete::new()));
        Ok(())
    }

    pub(super) fn describe(&mut self, target: &StatementOrPortal) -> Result<(), ErrorReply> {
        let (statement, formats) = match target {
            StatementOrPortal::Statement(name) => {
                let statement = self.tables.statement(name)?;
                let types = match &statement.plan {
                    StatementPlan::Query { types, .. } => types.iter().map(Type::oid).collect(),
                    StatementPlan::Empty => Vec::new(),
                };
                send(self.transport, &Backend::ParameterDescription(ParameterDescription::new(types)));
                (statement, Vec::new())
            }
            StatementOrPortal::Portal(name) => {
                let portal = self.tables.portal(name)?;
                (Arc::clone(&portal.statement), portal.formats.clone())
            }
        };
        let schema = match &statement.plan {
            StatementPlan::Query { prepared, .. } => prepared.schema.as_ref(),
            StatementPlan::Empty => None,
        };
        let answer = match schema {
            Some(schema) => ResultColumns::new(schema, &formats)?.description(),
            None => Backend::NoData(NoData::new()),
        };
        send(self.transport, &answer);
        Ok(())
    }

    /// Closes a statement or portal. One that does not exist is no error.
    pub(super) fn close(&mut self, target: &StatementOrPortal) {
        match target {
            StatementOrPortal::Statement(name) => {
                self.tables.statements.remove(name);
            }
            StatementOrPortal::Portal(name) => {
                self.tables.portals.remove(name);
            }
        }
        send(self.transport, &Backend::CloseComplete(CloseComplete::new()));
    }
}

fn several() -> Failure {
    Failure::new(FailureKind::Syntax, "cannot insert multiple commands into a prepared statement")
        .hint("send them one by one, or all in one simple query")
}
