//! `heapql sql`: statements without a client. Rows go to stdout, everything else to stderr.
//!
//! It reads the ledgers itself, so it needs no server, and answers as one would.

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::process::ExitCode;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use heapql_catalog::{Failure, Outcome};

use crate::cli::{Format, SqlArguments};
use crate::error::Error;
use crate::offline::Offline;
use crate::rows::{Cell, Rows};
use crate::service;
use crate::talk::say;

pub(crate) fn run(arguments: SqlArguments) -> Result<ExitCode, Error> {
    let text = arguments.query.map_or_else(from_stdin, Ok)?;
    service::runtime()?.block_on(async {
        let offline = Offline::open(arguments.dir.dir.as_deref())?;
        for statement in offline.statements(&text)? {
            match answer(&offline, &statement, arguments.format).await {
                Ok(()) => offline.print_warnings(),
                // Whoever reads our rows has enough of them.
                Err(Stopped::Reader) => break,
                Err(Stopped::Error(error)) => return Err(error),
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn from_stdin() -> Result<String, Error> {
    let mut stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Error::usage("there is no query").hint("heapql sql 'SHOW TABLES', or pipe statements in"));
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).map_err(|error| Error::new(format!("cannot read stdin: {error}")))?;
    Ok(text)
}

/// Why a statement's rows were not all printed.
enum Stopped {
    Error(Error),
    Reader,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Error(error)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stopped::Reader,
            _ => Stopped::Error(Error::new(format!("cannot write to stdout: {error}"))),
        }
    }
}

async fn answer(offline: &Offline, statement: &str, format: Format) -> Result<(), Stopped> {
    match offline.execute(statement).await? {
        Outcome::Done { tag } => say!("{tag}"),
        Outcome::Rows { schema, stream } => {
            let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
            let out = BufWriter::new(io::stdout().lock());
            let count = print(stream, Rows::begin(out, format, columns)?).await?;
            if io::stderr().is_terminal() {
                say!("({count} row{})", if count == 1 { "" } else { "s" });
            }
        }
    }
    Ok(())
}

async fn print<W: Write>(mut stream: SendableRecordBatchStream, mut rows: Rows<W>) -> Result<usize, Stopped> {
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| Error::from(Failure::from_datafusion(error)))?;
        for row in cells(&batch).map_err(|error| Error::new(format!("cannot print the rows: {error}")))? {
            rows.row(row)?;
        }
    }
    Ok(rows.end()?)
}

/// A batch's rows in words.
fn cells(batch: &RecordBatch) -> Result<Vec<Vec<Cell>>, ArrowError> {
    let options = FormatOptions::new();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let cell = |column: usize, row: usize| {
        let array = batch.column(column);
        if array.is_null(row) || array.data_type() == &DataType::Null {
            return Ok(Cell::Null);
        }
        let text = columns[column].value(row).try_to_string()?;
        Ok(if is_bare(array.data_type(), &text) { Cell::Bare(text) } else { Cell::Text(text) })
    };
    (0..batch.num_rows()).map(|row| (0..columns.len()).map(|column| cell(column, row)).collect()).collect()
}

/// NaN and infinity are no numbers in JSON.
fn is_bare(kind: &DataType, text: &str) -> bool {
    let is_finite = || text.parse::<f64>().is_ok_and(f64::is_finite);
    *kind == DataType::Boolean || (kind.is_numeric() && (!kind.is_floating() || is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn numbers_are_bare_and_null_is_null() {
        let columns: [(&str, ArrayRef); 4] = [
            ("count", Arc::new(Int64Array::from(vec![Some(7), None]))),
            ("name", Arc::new(StringArray::from(vec![Some("7"), None]))),
            ("est", Arc::new(Float64Array::from(vec![1.5, f64::NAN]))),
            ("is_new", Arc::new(BooleanArray::from(vec![true, false]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let bare = |text: &str| Cell::Bare(text.to_owned());
        let text = |text: &str| Cell::Text(text.to_owned());
        let expected = vec![
            vec![bare("7"), text("7"), bare("1.5"), bare("true")],
            vec![Cell::Null, Cell::Null, text("NaN"), bare("false")],
        ];
        assert_eq!(cells(&batch).expect("cells"), expected);
    }
}
