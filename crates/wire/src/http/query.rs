//! One statement of one request, through a session of its own: as one value, as a few rows of text, or streamed.
//!
//! Only what reads is run: over HTTP a link or a form could be somebody else's.

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
use heapql_sql::{Engine, Login, Outcome, Session};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use parking_lot::Mutex;

use super::reply::{Body, Kind, with};
use crate::display::as_strings;
use crate::link::apart;

/// Words that a statement over HTTP may begin with.
const READING: [&str; 9] = ["select", "with", "show", "explain", "desc", "describe", "values", "table", "("];
/// Rows of which a page or the metrics are made.
const MOST_ROWS: usize = 10_000;
/// Headers that tell of something.
const MOST_WARNINGS: usize = 16;

/// Who asks.
pub(super) struct Asker {
    pub(super) engine: Arc<Engine>,
    pub(super) peer: String,
    /// Where its connection stands in the list.
    pub(super) connection_id: u32,
}

/// Rows as text; NULL is none.
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Asker {
    fn session(&self) -> Result<Session, Failure> {
        let login = Login {
            user: "root@sys".to_owned(),
            database: Some("oceanbase".to_owned()),
            dialect: Dialect::MySql,
            peer: self.peer.clone(),
            connection_id: self.connection_id,
        };
        Session::open(&self.engine, login)
    }

    /// The only value of a statement with a `?` for each of `arguments`.
    pub(super) async fn value(&self, statement: &str, arguments: Vec<ScalarValue>) -> Result<Vec<u8>, Failure> {
        let session = self.session()?;
        let types: Vec<_> = arguments.iter().map(|argument| Some(argument.data_type())).collect();
        let prepared = unhurried(session.prepare(statement, &types)).await?;
        let mut stream = rows(unhurried(session.execute_prepared(&prepared, arguments)).await?)?;
        let batch = unhurried(stream.next()).await.transpose().map_err(Failure::from_datafusion)?;
        let batch = batch.filter(|batch| batch.num_rows() == 1 && batch.num_columns() == 1);
        let batch = batch.ok_or_else(|| Failure::new(FailureKind::Internal, "the statement gave no value"))?;
        let value = cast(batch.column(0), &DataType::LargeBinary).map_err(unwritable)?;
        Ok(value.as_binary::<i64>().value(0).to_vec())
    }

    /// Of this server only: who collects from all servers asks each of them.
    pub(super) async fn table_here(&self, statement: &str) -> Result<Table, Failure> {
        let session = self.session()?;
        session.execute("SET cluster_local = 1").await?;
        Self::table_of(&session, statement).await
    }

    pub(super) async fn table(&self, statement: &str) -> Result<Table, Failure> {
        Self::table_of(&self.session()?, statement).await
    }

    async fn table_of(session: &Session, statement: &str) -> Result<Table, Failure> {
        let mut stream = rows(unhurried(session.execute(statement)).await?)?;
        let columns = stream.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut table = Table { columns, rows: Vec::new() };
        while let Some(batch) = unhurried(stream.next()).await {
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
            let rows = (0..batch.num_rows()).take(MOST_ROWS - table.rows.len());
            table.rows.extend(rows.map(|row| columns.iter().map(|column| cell(column, row)).collect()));
        }
        Ok(table)
    }

    /// Rows as they come. A failure before the first is one of the whole answer.
    pub(super) async fn stream(&self, text: &str, format: Format) -> Result<Response<Body>, Failure> {
        let session = self.session()?;
        let statements = session.statements(text)?;
        let [statement] = statements.as_slice() else {
            let message = format!("expected one statement, got {}", statements.len());
            return Err(Failure::new(FailureKind::Syntax, message).hint("for example: /sql?q=SELECT+*+FROM+processes"));
        };
        check_reads(statement)?;
        let mut stream = rows(unhurried(session.execute(statement)).await?)?;
        let encoder = Encoder::new(format);
        let first = match unhurried(stream.next()).await {
            Some(batch) => Some(batch.map_err(Failure::from_datafusion)?),
            None => None,
        };
        let kind = match format {
            Format::Json => Kind::Json,
            Format::Csv => Kind::Csv,
        };
        let first = first.unwrap_or_else(|| RecordBatch::new_empty(stream.schema()));
        let told = told(&session);
        let pieces = pieces(session, stream, encoder, first).map(|piece| piece.map(Frame::data));
        let mut answer = with(StatusCode::OK, kind, Body::new(StreamBody::new(pieces)));
        answer.headers_mut().extend(told.into_iter().map(|told| (HeaderName::from_static("heapql-warning"), told)));
        Ok(answer)
    }
}

/// What the statement wants to be known, as far as it is known before the first row: who is missing from the answer is.
fn told(session: &Session) -> Vec<HeaderValue> {
    let plain =
        |text: String| text.chars().map(|char| if char.is_ascii_graphic() { char } else { ' ' }).collect::<String>();
    let warnings = session.warnings().into_iter().take(MOST_WARNINGS);
    warnings.filter_map(|warning| HeaderValue::from_str(&plain(warning.message)).ok()).collect()
}

/// The engine plans and computes without a pause: the thread's other tasks move elsewhere.
async fn unhurried<F: Future>(work: F) -> F::Output {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| apart(work.as_mut(), context)).await
}

fn rows(outcome: Outcome) -> Result<SendableRecordBatchStream, Failure> {
    match outcome {
        Outcome::Rows { stream, .. } => Ok(stream),
        Outcome::Done { .. } => Err(Failure::new(FailureKind::Query, "the statement has no rows")),
    }
}

fn check_reads(statement: &str) -> Result<(), Failure> {
    let text = statement.trim_start().to_ascii_lowercase();
    let reads = READING.iter().any(|word| {
        let rest = text.strip_prefix(word);
        rest.is_some_and(|rest| *word == "(" || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    });
    if reads {
        return Ok(());
    }
    let message = "only statements that read are run over HTTP";
    let hint = "SELECT, WITH, SHOW, EXPLAIN and DESC are; the MySQL and PostgreSQL protocols take the others";
    Err(Failure::new(FailureKind::ReadOnly, message).hint(hint))
}

fn unwritable(error: ArrowError) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}

/// The session lives as long as its rows.
fn pieces(
    session: Session,
    stream: SendableRecordBatchStream,
    encoder: Encoder,
    first: RecordBatch,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send {
    let state = Some((session, stream, encoder, Some(first)));
    stream::unfold(state, |state| async move {
        let (session, mut stream, mut encoder, first) = state?;
        let next = match first {
            Some(first) => Some(Ok(first)),
            None => unhurried(stream.next()).await,
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

/// What a writer wrote since it was last asked.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Encoder {
    /// None: CSV.
    json: Option<JsonWriter<Written, JsonArray>>,
    written: Written,
    is_first: bool,
}

impl Encoder {
    fn new(format: Format) -> Encoder {
        let written = Written::default();
        let json = JsonBuilder::new().with_explicit_nulls(true);
        let json = (format == Format::Json).then(|| json.build::<_, JsonArray>(written.clone()));
        Encoder { json, written, is_first: true }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<Bytes, ArrowError> {
        match &mut self.json {
            Some(json) => json.write(batch)?,
            None => CsvBuilder::new().with_header(self.is_first).build(self.written.clone()).write(batch)?,
        }
        self.is_first = false;
        Ok(self.taken())
    }

    fn end(&mut self) -> Result<Bytes, ArrowError> {
        if let Some(json) = &mut self.json {
            json.finish()?;
            self.written.write_all(b"\n")?;
        }
        Ok(self.taken())
    }

    fn taken(&self) -> Bytes {
        std::mem::take(&mut *self.written.0.lock()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_is_run() {
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
