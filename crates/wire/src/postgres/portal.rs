//! Prepared statements and portals: the two bounded tables of the extended protocol, and the messages that work on
//! them, except Execute's rows, which `connection` sends.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use heapql_server::{Failure, FailureKind};
use heapql_sql::Prepared;
use pgwire::api::Type;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete};
use tracing::debug;

use super::connection::Connection;
use super::message::{Bind, Parse, Target};
use super::parameter;
use super::reply::{Fault, send};
use super::row::{Rows, Shape};
use crate::codes;
use crate::link::LinkError;
use crate::verb::{deallocate, excerpt};

const MAX_STATEMENTS: usize = 1024;
/// A running portal holds a query open.
const MAX_PORTALS: usize = 64;

pub(super) struct Statement {
    pub(super) text: String,
    pub(super) plan: Plan,
}

pub(super) enum Plan {
    /// No statement at all, such as ";".
    Empty,
    /// DEALLOCATE of one or all: the tables here are what it is about.
    Deallocate(Option<String>),
    Query {
        prepared: Prepared,
        types: Vec<Type>,
    },
}

pub(super) struct Portal {
    pub(super) statement: Arc<Statement>,
    pub(super) formats: Vec<i16>,
    pub(super) state: State,
}

pub(super) enum State {
    /// Bound, with its values.
    Ready(Vec<ScalarValue>),
    Running(Running),
    Done,
}

/// A query between two of its rows.
pub(super) struct Running {
    pub(super) shape: Shape,
    pub(super) stream: SendableRecordBatchStream,
    /// The batch being sent.
    pub(super) rows: Option<Rows>,
}

#[derive(Default)]
pub(super) struct Tables {
    pub(super) statements: HashMap<String, Arc<Statement>>,
    pub(super) portals: HashMap<String, Portal>,
}

impl Tables {
    fn statement(&self, name: &str) -> Result<Arc<Statement>, Fault> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = format!("prepared statement \"{name}\" does not exist");
            Fault::new(codes::UNKNOWN_STATEMENT, message)
        })
    }

    fn portal(&self, name: &str) -> Result<&Portal, Fault> {
        self.portals.get(name).ok_or_else(|| unknown_portal(name))
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<&'static str, Fault> {
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

pub(super) fn unknown_portal(name: &str) -> Fault {
    Fault::new(codes::UNKNOWN_PORTAL, format!("portal \"{name}\" does not exist"))
}

impl Connection<'_> {
    pub(super) async fn parse(&mut self, parse: Parse) -> Result<Result<(), Fault>, LinkError> {
        if self.tables.statements.len() >= MAX_STATEMENTS && !self.tables.statements.contains_key(&parse.name) {
            let message = format!("more than {MAX_STATEMENTS} prepared statements in one connection");
            return Ok(Err(Fault::new(codes::TOO_MANY_STATEMENTS, message)));
        }
        debug!(statement = excerpt(&parse.query), "parse");
        // A parse that fails leaves no unnamed statement behind.
        self.tables.statements.remove(&parse.name);
        let plan = match self.plan(&parse).await? {
            Ok(plan) => plan,
            Err(fault) => return Ok(Err(fault)),
        };
        let statement = Statement { text: parse.query, plan };
        self.tables.statements.insert(parse.name, Arc::new(statement));
        send(self.link, &Backend::ParseComplete(ParseComplete::new()));
        Ok(Ok(()))
    }

    async fn plan(&mut self, parse: &Parse) -> Result<Result<Plan, Fault>, LinkError> {
        if let Some(name) = deallocate(&parse.query) {
            return Ok(Ok(Plan::Deallocate(name)));
        }
        let session = Arc::clone(&self.session);
        let statement = match session.statements(&parse.query) {
            Ok(statements) if statements.len() > 1 => return Ok(Err(several().into())),
            Ok(statements) => statements.into_iter().next(),
            Err(failure) => return Ok(Err(failure.into())),
        };
        let Some(statement) = statement else {
            return Ok(Ok(Plan::Empty));
        };
        let given: Vec<Option<DataType>> = parse.types.iter().map(|oid| parameter::arrow_type(*oid)).collect();
        let prepared = self.link.watch(&session, session.prepare(&statement, &given)).await?;
        Ok(prepared
            .map_err(Fault::from)
            .map(|prepared| Plan::Query { types: parameter::types(&parse.types, &prepared), prepared }))
    }

    pub(super) fn bind(&mut self, bind: Bind) -> Result<(), Fault> {
        let statement = self.tables.statement(&bind.statement)?;
        if self.tables.portals.len() >= MAX_PORTALS && !self.tables.portals.contains_key(&bind.portal) {
            let message = format!("more than {MAX_PORTALS} open portals in one connection");
            return Err(Fault::new(codes::TOO_MANY_STATEMENTS, message));
        }
        let values = match &statement.plan {
            Plan::Query { prepared, types } => {
                if let Some(schema) = &prepared.schema {
                    Shape::of(schema, &bind.result_formats)?;
                }
                parameter::read(&bind, types, prepared)?
            }
            Plan::Empty | Plan::Deallocate(_) => Vec::new(),
        };
        let portal = Portal { statement, formats: bind.result_formats, state: State::Ready(values) };
        self.tables.portals.insert(bind.portal, portal);
        send(self.link, &Backend::BindComplete(BindComplete::new()));
        Ok(())
    }

    pub(super) fn describe(&mut self, target: &Target) -> Result<(), Fault> {
        let (statement, formats) = match target {
            Target::Statement(name) => {
                let statement = self.tables.statement(name)?;
                let types = match &statement.plan {
                    Plan::Query { types, .. } => types.iter().map(Type::oid).collect(),
                    Plan::Empty | Plan::Deallocate(_) => Vec::new(),
                };
                send(self.link, &Backend::ParameterDescription(ParameterDescription::new(types)));
                (statement, Vec::new())
            }
            Target::Portal(name) => {
                let portal = self.tables.portal(name)?;
                (Arc::clone(&portal.statement), portal.formats.clone())
            }
        };
        let schema = match &statement.plan {
            Plan::Query { prepared, .. } => prepared.schema.as_ref(),
            Plan::Empty | Plan::Deallocate(_) => None,
        };
        let answer = match schema {
            Some(schema) => Shape::of(schema, &formats)?.description(),
            None => Backend::NoData(NoData::new()),
        };
        send(self.link, &answer);
        Ok(())
    }

    /// Closing what does not exist is no error.
    pub(super) fn close(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => {
                self.tables.statements.remove(name);
            }
            Target::Portal(name) => {
                self.tables.portals.remove(name);
            }
        }
        send(self.link, &Backend::CloseComplete(CloseComplete::new()));
    }
}

fn several() -> Failure {
    Failure::new(FailureKind::Syntax, "cannot insert multiple commands into a prepared statement")
        .hint("send them one by one, or all in one simple query")
}
