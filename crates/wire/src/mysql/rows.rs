//! Result sets: a header, then rows as the engine makes them, never more than one batch at a time, then an end that
//! carries the warning count. Text rows answer COM_QUERY, binary rows COM_STMT_EXECUTE.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use heapql_server::Failure;
use heapql_sql::Session;

use super::column::{Shape, write_header};
use super::packet::Wire;
use super::value::Cells;
use crate::link::LinkError;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Binary,
}

/// Sends header and rows. A failure in between has not been sent yet; the end has not either.
pub(super) async fn send(
    wire: &mut Wire,
    session: &Session,
    schema: &Schema,
    mut stream: SendableRecordBatchStream,
    form: Form,
    deprecate_eof: bool,
    status: u16,
) -> Result<Result<(), Failure>, LinkError> {
    let shapes: Vec<Shape> = schema.fields().iter().map(|field| Shape::of(field)).collect();
    write_header(wire, schema, deprecate_eof, status);
    while let Some(batch) = wire.link.watch(session, stream.next()).await? {
        let sent = match batch {
            Ok(batch) => send_batch(wire, &shapes, &batch, form).await?,
            Err(error) => Err(Failure::from_datafusion(error)),
        };
        if let Err(failure) = sent {
            return Ok(Err(failure));
        }
    }
    Ok(Ok(()))
}

async fn send_batch(
    wire: &mut Wire,
    shapes: &[Shape],
    batch: &RecordBatch,
    form: Form,
) -> Result<Result<(), Failure>, LinkError> {
    let prepared: Result<Vec<Cells>, _> = batch.columns().iter().map(Cells::of).collect();
    let columns = match prepared {
        Ok(columns) => columns,
        Err(error) => return Ok(Err(Failure::from_datafusion(error.into()))),
    };
    for row in 0..batch.num_rows() {
        wire.write(|out| match form {
            Form::Text => columns.iter().for_each(|cells| cells.put_text(out, row)),
            Form::Binary => put_binary_row(out, &columns, shapes, row),
        });
        wire.link.flush_if_full().await?;
    }
    Ok(Ok(()))
}

/// A zero, a bitmap of the NULLs that starts at its third bit, and the other values.
fn put_binary_row(out: &mut BytesMut, columns: &[Cells], shapes: &[Shape], row: usize) {
    out.put_u8(0);
    let bitmap = out.len();
    out.put_bytes(0, (columns.len() + 2).div_ceil(8));
    for (index, (cells, shape)) in columns.iter().zip(shapes).enumerate() {
        if cells.is_null(row) {
            out[bitmap + (index + 2) / 8] |= 1 << ((index + 2) % 8);
        } else {
            cells.put_binary(out, row, shape.kind);
        }
    }
}
