//! Prepared statements: the bounded table of one connection, and the commands on it. Rows are sent by `connection`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::BufMut;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::scalar::ScalarValue;
use heapql_sql::Prepared;
use tracing::debug;

use super::column::write_columns;
use super::connection::MysqlConnection;
use super::parameter::{self, ParameterType};
use super::reply;
use super::rows::RowFormat;
use crate::codes;
use crate::coerce_parameters::coerce_parameters;
use crate::cursor::{DecodeError, MessageCursor};
use crate::limits::LIMIT_AFTER_LOGIN;
use crate::log_excerpt::excerpt;
use crate::transport::TransportError;

const MAX_STATEMENTS: usize = 1024;

struct PreparedStatement {
    prepared: Arc<Prepared>,
    types: Vec<ParameterType>,
    /// Values that were sent ahead, by the number of their parameter.
    long: BTreeMap<u16, Vec<u8>>,
    long_bytes: usize,
}

#[derive(Default)]
pub(super) struct PreparedStatements {
    by_id: HashMap<u32, PreparedStatement>,
    last: u32,
}

impl PreparedStatements {
    fn is_full(&self) -> bool {
        self.by_id.len() >= MAX_STATEMENTS
    }

    fn insert(&mut self, prepared: Arc<Prepared>) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.by_id.contains_key(&self.last) {
                break;
            }
        }
        let statement = PreparedStatement { prepared, types: Vec::new(), long: BTreeMap::new(), long_bytes: 0 };
        self.by_id.insert(self.last, statement);
        self.last
    }

    /// Handles COM_STMT_SEND_LONG_DATA, which has no answer. Data beyond the limit is counted and not kept, and the execution fails.
    pub(super) fn append(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let mut body = MessageCursor::new(body);
        let id = body.u32_le("statement id")?;
        let parameter = body.u16_le("number of a parameter")?;
        let data = body.rest();
        let Some(statement) = self.by_id.get_mut(&id) else {
            return Ok(());
        };
        statement.long_bytes = statement.long_bytes.saturating_add(data.len());
        if statement.long_bytes <= LIMIT_AFTER_LOGIN && usize::from(parameter) < statement.prepared.parameters.len() {
            statement.long.entry(parameter).or_default().extend_from_slice(data);
        }
        Ok(())
    }

    /// Handles COM_STMT_CLOSE, which has no answer.
    pub(super) fn close(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let id = MessageCursor::new(body).u32_le("statement id")?;
        self.by_id.remove(&id);
        Ok(())
    }

    fn forget_long(&mut self, id: u32) -> bool {
        self.by_id.get_mut(&id).is_some_and(|statement| {
            statement.long.clear();
            statement.long_bytes = 0;
            true
        })
    }
}

impl MysqlConnection<'_> {
    pub(super) async fn prepare(&mut self, body: &[u8]) -> Result<(), TransportError> {
        let Some(text) = self.text(body) else {
            return Ok(());
        };
        if self.statements.is_full() {
            let message = format!("Can't create more than {MAX_STATEMENTS} prepared statements in one connection");
            reply::error(self.wire, codes::TOO_MANY_STATEMENTS, &message);
            return Ok(());
        }
        debug!(statement = excerpt(text), "prepare");
        let session = self.session();
        let prepared = self.wire.transport.watch(&session, session.prepare(text, &[])).await?;
        match prepared {
            Ok(prepared) if prepared.parameters.len() > usize::from(u16::MAX) => {
                let message = "Prepared statement contains too many placeholders";
                reply::error(self.wire, codes::TOO_MANY_PARAMETERS, message);
            }
            Ok(prepared) => {
                let prepared = Arc::new(prepared);
                let id = self.statements.insert(Arc::clone(&prepared));
                self.describe(id, &prepared);
            }
            Err(failure) => reply::failure(self.wire, &failure),
        }
        Ok(())
    }

    /// Writes a COM_STMT_PREPARE_OK, then the parameters, then the columns.
    fn describe(&mut self, id: u32, prepared: &Prepared) {
        let (deprecate_eof, status) = (self.deprecate_eof(), self.status(false));
        let columns = prepared.schema.as_ref().map_or(0, |schema| schema.fields().len());
        let parameters = prepared.parameters.len();
        self.wire.write(|out| {
            out.put_u8(0);
            out.put_u32_le(id);
            out.put_u16_le(columns as u16);
            out.put_u16_le(parameters as u16);
            out.put_u8(0);
            out.put_u16_le(0);
        });
        if parameters > 0 {
            let fields: Vec<Field> =
                prepared.parameters.iter().map(|kind| Field::new("?", kind.clone(), true)).collect();
            write_columns(self.wire, &Schema::new(fields), deprecate_eof, status);
        }
        if let Some(schema) = prepared.schema.as_ref().filter(|_| columns > 0) {
            write_columns(self.wire, schema, deprecate_eof, status);
        }
    }

    /// Executes a statement. Flags that ask for a cursor are ignored: rows are streamed, which clients accept.
    pub(super) async fn execute(&mut self, body: &[u8]) -> Result<(), TransportError> {
        let mut body = MessageCursor::new(body);
        let id = body.u32_le("statement id")?;
        body.take(1 + 4, "flags of an execution")?;
        let Some(statement) = self.statements.by_id.get_mut(&id) else {
            self.unknown(id, "EXECUTE");
            return Ok(());
        };
        if statement.long_bytes > LIMIT_AFTER_LOGIN {
            let message = format!("parameters of {} bytes, the limit is {LIMIT_AFTER_LOGIN}", statement.long_bytes);
            self.statements.forget_long(id);
            reply::error(self.wire, codes::TOO_LARGE, &message);
            return Ok(());
        }
        let prepared = Arc::clone(&statement.prepared);
        let count = prepared.parameters.len();
        let values = parameter::read(&mut body, count, &mut statement.types, &statement.long);
        self.statements.forget_long(id);
        let values = match values {
            Ok(values) => coerce_parameters(values, &prepared),
            Err(malformed) => {
                reply::error(self.wire, codes::WRONG_ARGUMENTS, &format!("Incorrect arguments: {}", malformed.0));
                return Ok(());
            }
        };
        match values {
            Ok(values) => self.execute_with(&prepared, values).await,
            Err(failure) => {
                reply::error(self.wire, codes::BAD_VALUE, &failure.to_string());
                Ok(())
            }
        }
    }

    async fn execute_with(&mut self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<(), TransportError> {
        let session = self.session();
        let outcome = self.wire.transport.watch(&session, session.execute_prepared(prepared, values)).await?;
        self.send(&session, outcome, RowFormat::Binary, false).await?;
        Ok(())
    }

    pub(super) fn reset_statement(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let id = MessageCursor::new(body).u32_le("statement id")?;
        if self.statements.forget_long(id) {
            self.ok(false, 0);
        } else {
            self.unknown(id, "RESET");
        }
        Ok(())
    }

    fn unknown(&mut self, id: u32, verb: &str) {
        let message = format!("Unknown prepared statement handler ({id}) given to {verb}");
        reply::error(self.wire, codes::UNKNOWN_STATEMENT, &message);
    }
}
