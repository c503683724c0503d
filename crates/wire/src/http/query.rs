//! One statement of one request, through a session of its own: as one value, as a few rows of text, or as a stream.
//!
//! Only statements that read are run, because a link or a form could come from another site. Paths are `route`'s.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::csv::WriterBuilder as CsvBuilder;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{JsonArray, Writer as JsonWriter, WriterBuilder as JsonBuilder};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use futures::stream::{self, Stream};
use heapql_server::{Dialect, Failure, FailureKind};
use heapql_sql::{Engine, Login, Outcome, Session, only_reads};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use parking_lot::Mutex;

use super::reply::{Body, ContentKind, with};
use crate::display::as_strings;

/// Maximum number of rows of a table on a page or in the metrics.
const MAX_ROWS: usize = 10_000;
/// Maximum number of warning headers.
const MAX_WARNINGS: usize = 16;

/// A client that runs the statements of one request.
pub(super) struct QueryClient {
    pub(super) engine: Arc<Engine>,
    pub(super) peer: String,
    /// The connection's number in the server's list.
    pub(super) connection_id: u32,
}

/// Rows as text. None stands for NULL.
pub(super) struct TextTable {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StreamFormat {
    Json,
    Csv,
}

impl QueryClient {
    fn session(&self) -> Result<Arc<Session>, Failure> {
        let login = Login {
            user: "root@sys".to_owned(),
            database: Some("oceanbase".to_owned()),
            dialect: Dialect::MySql,
            peer: self.peer.clone(),
            connection_id: self.connection_id,
        };
        Session::open(&self.engine, login)
    }

    /// Runs a statement with a `?` for each of `arguments`, and returns its only value.
    pub(super) async fn value(&self, statement: &str, arguments: Vec<ScalarValue>) -> Result<Vec<u8>, Failure> {
        let session = self.session()?;
        let types: Vec<_> = arguments.iter().map(|argument| Some(argument.data_type())).collect();
        let prepared = session.prepare(statement, &types).await?;
        let mut stream = rows(session.execute_prepared(&prepared, arguments).await?)?;
        let batch = stream.next().await.transpose().map_err(Failure::from_datafusion)?;
        let batch = batch.filter(|batch| batch.num_rows() == 1 && batch.num_columns() == 1);
        let batch = batch.ok_or_else(|| Failure::new(FailureKind::Internal, "the statement gave no value"))?;
        let value = cast(batch.column(0), &DataType::LargeBinary).map_err(unwritable)?;
        Ok(value.as_binary::<i64>().value(0).to_vec())
    }

    /// Runs a statement on this server only. A collector of metrics asks each server of a cluster.
    pub(super) async fn table_here(&self, statement: &str) -> Result<TextTable, Failure> {
        let session = self.session()?;
        session.execute("SET cluster_local = 1").await?;
        Self::table_of(&session, statement).await
    }

    pub(super) async fn table(&self, statement: &str) -> Result<TextTable, Failure> {
        Self::table_of(&self.session()?, statement).await
    }

    async fn table_of(session: &Arc<Session>, statement: &str) -> Result<TextTable, Failure> {
        let mut stream = rows(session.execute(statement).await?)?;
        let columns = stream.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut table = TextTable { columns, rows: Vec::new() };
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(Failure::from_datafusion)?;
            let columns = batch
                .columns()
                .iter()
                .map(|column| as_strings(column))
                .collect::<Result<Vec<_>, _>>()
                .map_err(unwritable)?;
            let cell = |column: &datafusion::arrow::array::StringArray, row| {
                (!column.is_null(row)).then(|| column.value(row).to_owned())
            };
            let rows = (0..batch.num_rows()).take(MAX_ROWS - table.rows.len());
            table.rows.extend(rows.map(|row| columns.iter().map(|column| cell(column, row)).collect()));
        }
        Ok(table)
    }

    /// Streams the rows of a statement. A failure before the first batch fails the request.
    pub(super) async fn stream(&self, text: &str, format: StreamFormat) -> Result<Response<Body>, Failure> {
        let session = self.session()?;
        let statements = session.statements(text)?;
        let [statement] = statements.as_slice() else {
            let message = format!("expected one statement, got {}", statements.len());
            return Err(Failure::new(FailureKind::Syntax, message).hint("for example: /sql?q=SELECT+*+FROM+processes"));
        };
        check_reads(statement)?;
        let mut stream = rows(session.execute(statement).await?)?;
        let encoder = BatchEncoder::new(format);
        let first = match stream.next().await {
            Some(batch) => Some(batch.map_err(Failure::from_datafusion)?),
            None => None,
        };
        let kind = match format {
            StreamFormat::Json => ContentKind::Json,
            StreamFormat::Csv => ContentKind::Csv,
        };
        let first = first.unwrap_or_else(|| RecordBatch::new_empty(stream.schema()));
        let warnings = warning_headers(&session);
        let pieces = pieces(session, stream, encoder, first).map(|piece| piece.map(Frame::data));
        let mut answer = with(StatusCode::OK, kind, Body::new(StreamBody::new(pieces)));
        answer
            .headers_mut()
            .extend(warnings.into_iter().map(|warning| (HeaderName::from_static("heapql-warning"), warning)));
        Ok(answer)
    }
}

/// The statement's warnings as headers, as far as they exist before the first row. Missing servers are known by then.
fn warning_headers(session: &Session) -> Vec<HeaderValue> {
    let plain =
        |text: String| text.chars().map(|char| if char.is_ascii_graphic() { char } else { ' ' }).collect::<String>();
    let warnings = session.warnings().into_iter().take(MAX_WARNINGS);
    warnings.filter_map(|warning| HeaderValue::from_str(&plain(warning.message)).ok()).collect()
}

fn rows(outcome: Outcome) -> Result<SendableRecordBatchStream, Failure> {
    match outcome {
        Outcome::Rows { stream, .. } => Ok(stream),
        Outcome::Done { .. } | Outcome::Deallocate { .. } => {
            Err(Failure::new(FailureKind::Query, "the statement has no rows"))
        }
    }
}

fn check_reads(statement: &str) -> Result<(), Failure> {
    if only_reads(statement, Dialect::MySql) {
        return Ok(());
    }
    let message = "only statements that read are run over HTTP";
    let hint = "SELECT, WITH, SHOW, EXPLAIN and DESC are; the MySQL and PostgreSQL protocols take the others";
    Err(Failure::new(FailureKind::ReadOnly, message).hint(hint))
}

fn unwritable(error: ArrowError) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}

/// Encodes the rows of a statement. The session lives as long as the stream.
fn pieces(
    session: Arc<Session>,
    stream: SendableRecordBatchStream,
    encoder: BatchEncoder,
    first: RecordBatch,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send {
    let state = Some((session, stream, encoder, Some(first)));
    stream::unfold(state, |state| async move {
        let (session, mut stream, mut encoder, first) = state?;
        let next = match first {
            Some(first) => Some(Ok(first)),
            None => stream.next().await,
        };
        match next {
            Some(Ok(batch)) => {
                let piece = encoder.encode(&batch).map_err(unwritable);
                Some((piece, Some((session, stream, encoder, None))))
            }
            Some(Err(error)) => Some((Err(Failure::from_datafusion(error)), None)),
            None => Some((encoder.end().map_err(unwritable), None)),
        }
    })
}

/// A buffer that a writer fills and that its owner empties.
#[derive(Clone, Default)]
struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct BatchEncoder {
    /// None for CSV.
    json: Option<JsonWriter<SharedBuffer, JsonArray>>,
    buffer: SharedBuffer,
    is_first: bool,
}

impl BatchEncoder {
    fn new(format: StreamFormat) -> BatchEncoder {
        let buffer = SharedBuffer::default();
        let json = JsonBuilder::new().with_explicit_nulls(true);
        let json = (format == StreamFormat::Json).then(|| json.build::<_, JsonArray>(buffer.clone()));
        BatchEncoder { json, buffer, is_first: true }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<Bytes, ArrowError> {
        match &mut self.json {
            Some(json) => json.write(batch)?,
            None => CsvBuilder::new().with_header(self.is_first).build(self.buffer.clone()).write(batch)?,
        }
        self.is_first = false;
        Ok(self.take())
    }

    fn end(&mut self) -> Result<Bytes, ArrowError> {
        if let Some(json) = &mut self.json {
            json.finish()?;
            self.buffer.write_all(b"\n")?;
        }
        Ok(self.take())
    }

    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.buffer.0.lock()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statements_that_read_are_run() {
        for statement in ["SELECT 1", " with a as (select 1) select * from a", "SHOW TABLES", "(select 1)", "desc t"] {
            assert!(check_reads(statement).is_ok(), "{statement}");
        }
        for statement in
            ["ALTER SYSTEM SET a = 1", "KILL 1", "SET a = 1", "selects", "", "/* SELECT */ KILL 1", "USE x"]
        {
            assert!(check_reads(statement).is_err(), "{statement}");
        }
    }
}
