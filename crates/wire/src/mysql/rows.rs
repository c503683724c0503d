//! Result sets: a header, then the rows of one batch at a time. Text rows answer COM_QUERY, binary rows COM_STMT_EXECUTE. The end of
//! the rows, with the number of warnings, is `connection`'s.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use heapql_server::Failure;
use heapql_sql::Session;

use super::column::{ColumnDefinition, write_header};
use super::packet::PacketStream;
use super::value::ColumnValues;
use crate::transport::TransportError;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFormat {
    Text,
    Binary,
}

/// Sends header and rows. The caller sends a failure or the end of the rows.
pub(super) async fn send(
    wire: &mut PacketStream,
    session: &Session,
    schema: &Schema,
    mut stream: SendableRecordBatchStream,
    format: RowFormat,
    deprecate_eof: bool,
    status: u16,
) -> Result<Result<(), Failure>, TransportError> {
    let definitions: Vec<ColumnDefinition> = schema.fields().iter().map(|field| ColumnDefinition::new(field)).collect();
    write_header(wire, schema, deprecate_eof, status);
    while let Some(batch) = wire.transport.watch(session, stream.next()).await? {
        let sent = match batch {
            Ok(batch) => send_batch(wire, &definitions, &batch, format).await?,
            Err(error) => Err(Failure::from_datafusion(error)),
        };
        if let Err(failure) = sent {
            return Ok(Err(failure));
        }
    }
    Ok(Ok(()))
}

async fn send_batch(
    wire: &mut PacketStream,
    definitions: &[ColumnDefinition],
    batch: &RecordBatch,
    format: RowFormat,
) -> Result<Result<(), Failure>, TransportError> {
    let prepared: Result<Vec<ColumnValues>, _> = batch.columns().iter().map(ColumnValues::new).collect();
    let columns = match prepared {
        Ok(columns) => columns,
        Err(error) => return Ok(Err(Failure::from_datafusion(error.into()))),
    };
    for row in 0..batch.num_rows() {
        wire.write(|out| match format {
            RowFormat::Text => columns.iter().for_each(|values| values.put_text(out, row)),
            RowFormat::Binary => put_binary_row(out, &columns, definitions, row),
        });
        wire.transport.flush_if_full().await?;
    }
    Ok(Ok(()))
}

/// Writes a zero, a bitmap of the NULLs that starts at its third bit, and the other values.
fn put_binary_row(out: &mut BytesMut, columns: &[ColumnValues], definitions: &[ColumnDefinition], row: usize) {
    out.put_u8(0);
    let bitmap = out.len();
    out.put_bytes(0, (columns.len() + 2).div_ceil(8));
    for (index, (values, definition)) in columns.iter().zip(definitions).enumerate() {
        if values.is_null(row) {
            out[bitmap + (index + 2) / 8] |= 1 << ((index + 2) % 8);
        } else {
            values.put_binary(out, row, definition.kind);
        }
    }
}
