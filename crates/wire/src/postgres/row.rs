//! The columns of a result, and its rows in text or binary. One batch is converted at a time (`BatchRows::new`) and written row by row
//! into the transport's output. Values are encoded by arrow-pg, except NULLs (it loses those of intervals), decimals (it cuts them at
//! 28 digits) and types without a counterpart, which become text.

use std::sync::Arc;

use arrow_pg::datatypes::field_into_pg_type;
use arrow_pg::encoder::{Encoder, encode_value};
use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::arrow::error::ArrowError;
use heapql_server::Failure;
use pgwire::api::Type;
use pgwire::api::results::{FieldFormat, FieldInfo};
use pgwire::error::PgWireResult;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{FieldDescription, RowDescription};
use pgwire::types::ToSqlText;
use postgres_types::{IsNull, ToSql};

use super::numeric;
use super::reply::ErrorReply;
use crate::codes;
use crate::display::{as_strings, plain, plain_type};

/// The columns of a result, in the formats that the client asked for.
pub(super) struct ResultColumns {
    columns: Vec<ResultColumn>,
}

struct ResultColumn {
    /// The field without dictionary and run encoding.
    field: FieldRef,
    info: FieldInfo,
    encoding: ValueEncoding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueEncoding {
    /// The value is encoded by arrow-pg.
    Arrow,
    /// The value is text, and becomes a NUMERIC in the binary format.
    Numeric,
    /// The value is text in both formats.
    Text,
}

impl ResultColumns {
    /// `formats` has no entry for text, one entry for all columns, or one per column.
    pub(super) fn new(schema: &Schema, formats: &[i16]) -> Result<ResultColumns, ErrorReply> {
        let count = schema.fields().len();
        if formats.len() > 1 && formats.len() != count {
            let message = format!("bind message has {} result formats but query has {count} columns", formats.len());
            return Err(ErrorReply::new(codes::WRONG_ARGUMENTS, message));
        }
        let format = |index: usize| match formats {
            [] => FieldFormat::Text,
            [all] => FieldFormat::from(*all),
            each => FieldFormat::from(each[index]),
        };
        let columns = schema.fields().iter().enumerate().map(|(index, field)| ResultColumn::new(field, format(index)));
        Ok(ResultColumns { columns: columns.collect() })
    }

    pub(super) fn description(&self) -> Backend {
        let fields = self.columns.iter().map(|column| FieldDescription::from(&column.info)).collect();
        Backend::RowDescription(RowDescription::new(fields))
    }
}

impl ResultColumn {
    fn new(field: &Field, format: FieldFormat) -> ResultColumn {
        let data_type = plain_type(field.data_type());
        let plain = Arc::new(field.clone().with_data_type(data_type.clone()));
        let (encoding, kind) = match data_type {
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                (ValueEncoding::Numeric, Type::NUMERIC)
            }
            DataType::ListView(_) | DataType::LargeListView(_) => (ValueEncoding::Text, Type::TEXT),
            DataType::Null => (ValueEncoding::Text, Type::TEXT),
            _ => match field_into_pg_type(&plain) {
                Ok(kind) => (ValueEncoding::Arrow, kind),
                Err(_) => (ValueEncoding::Text, Type::TEXT),
            },
        };
        let size = type_size(&kind);
        let info = FieldInfo::new(field.name().clone(), None, None, kind, format).with_type_size(size);
        ResultColumn { field: plain, info, encoding }
    }

    fn prepare(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let array = plain(array)?;
        match self.encoding {
            ValueEncoding::Arrow => Ok(array),
            ValueEncoding::Text if array.data_type() == &DataType::Null => Ok(array),
            ValueEncoding::Numeric | ValueEncoding::Text => Ok(Arc::new(as_strings(&array)?)),
        }
    }

    fn put(&self, out: &mut BytesMut, array: &ArrayRef, row: usize) -> PgWireResult<()> {
        if array.data_type() == &DataType::Null || array.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        match self.encoding {
            ValueEncoding::Arrow => encode_value(&mut CellEncoder { out }, array, row, &self.field, &self.info),
            ValueEncoding::Numeric if self.info.format() == FieldFormat::Binary => {
                with_length(out, |out| numeric::put(out, array.as_string::<i32>().value(row)));
                Ok(())
            }
            ValueEncoding::Numeric | ValueEncoding::Text => {
                with_length(out, |out| out.put_slice(array.as_string::<i32>().value(row).as_bytes()));
                Ok(())
            }
        }
    }
}

/// The value of `pg_type.typlen`.
fn type_size(kind: &Type) -> i16 {
    match *kind {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::INTERVAL => 16,
        _ => -1,
    }
}

/// One batch, and the number of its rows that were sent.
pub(super) struct BatchRows {
    columns: Vec<ArrayRef>,
    next: usize,
    count: usize,
}

impl BatchRows {
    pub(super) fn new(columns: &ResultColumns, batch: &RecordBatch) -> Result<BatchRows, ErrorReply> {
        let columns: Result<Vec<ArrayRef>, ArrowError> =
            columns.columns.iter().zip(batch.columns()).map(|(column, array)| column.prepare(array)).collect();
        let columns = columns.map_err(|error| Failure::from_datafusion(error.into()))?;
        Ok(BatchRows { columns, next: 0, count: batch.num_rows() })
    }

    /// Writes the next row. Returns false after the last one.
    pub(super) fn put_next(&mut self, columns: &ResultColumns, out: &mut BytesMut) -> Result<bool, ErrorReply> {
        if self.next == self.count {
            return Ok(false);
        }
        let start = out.len();
        if let Err(error) = self.put(columns, out) {
            out.truncate(start);
            return Err(error.into());
        }
        self.next += 1;
        Ok(true)
    }

    fn put(&self, columns: &ResultColumns, out: &mut BytesMut) -> PgWireResult<()> {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_i16(columns.columns.len() as i16);
        for (column, array) in columns.columns.iter().zip(&self.columns) {
            column.put(out, array, self.next)?;
        }
        let length = (out.len() - start) as i32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}

/// Writes a value after its length, which does not count itself.
fn with_length(out: &mut BytesMut, value: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    value(out);
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// The encoder to which arrow-pg writes one value.
struct CellEncoder<'a> {
    out: &'a mut BytesMut,
}

impl Encoder for CellEncoder<'_> {
    type Item = ();

    fn encode_field<T>(&mut self, value: &T, field: &FieldInfo) -> PgWireResult<()>
    where
        T: ToSql + ToSqlText + Sized,
    {
        let start = self.out.len();
        self.out.put_i32(-1);
        let null = match field.format() {
            FieldFormat::Text => value.to_sql_text(field.datatype(), self.out, field.format_options())?,
            FieldFormat::Binary => value.to_sql(field.datatype(), self.out)?,
        };
        if matches!(null, IsNull::No) {
            let length = (self.out.len() - start - 4) as i32;
            self.out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn take_row(&mut self) {}
}

#[cfg(test)]
mod tests;
