//! Rows: what a result's columns are called and typed, and their values in text or binary. One batch is prepared at a
//! time (`Rows::of`) and written row by row into the link's output. Values are arrow-pg's, except NULLs (which it
//! forgets for intervals), decimals (which it cuts at 28 digits) and types it has no form for, which become text.

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
use super::reply::Fault;
use crate::codes;
use crate::display::{as_strings, plain, plain_type};

/// The columns of a result, in the formats that the client asked for.
pub(super) struct Shape {
    columns: Vec<Column>,
}

struct Column {
    /// Without dictionaries and runs.
    field: FieldRef,
    info: FieldInfo,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As arrow-pg has it.
    Arrow,
    /// As text, read back as a NUMERIC for the binary format.
    Numeric,
    /// As text.
    Text,
}

impl Shape {
    /// `formats`: none for text, one for all, or one each.
    pub(super) fn of(schema: &Schema, formats: &[i16]) -> Result<Shape, Fault> {
        let count = schema.fields().len();
        if formats.len() > 1 && formats.len() != count {
            let message = format!("bind message has {} result formats but query has {count} columns", formats.len());
            return Err(Fault::new(codes::WRONG_ARGUMENTS, message));
        }
        let format = |index: usize| match formats {
            [] => FieldFormat::Text,
            [all] => FieldFormat::from(*all),
            each => FieldFormat::from(each[index]),
        };
        let columns = schema.fields().iter().enumerate().map(|(index, field)| Column::of(field, format(index)));
        Ok(Shape { columns: columns.collect() })
    }

    pub(super) fn description(&self) -> Backend {
        let fields = self.columns.iter().map(|column| FieldDescription::from(&column.info)).collect();
        Backend::RowDescription(RowDescription::new(fields))
    }
}

impl Column {
    fn of(field: &Field, format: FieldFormat) -> Column {
        let data_type = plain_type(field.data_type());
        let plain = Arc::new(field.clone().with_data_type(data_type.clone()));
        let (form, kind) = match data_type {
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                (Form::Numeric, Type::NUMERIC)
            }
            DataType::ListView(_) | DataType::LargeListView(_) => (Form::Text, Type::TEXT),
            DataType::Null => (Form::Text, Type::TEXT),
            _ => match field_into_pg_type(&plain) {
                Ok(kind) => (Form::Arrow, kind),
                Err(_) => (Form::Text, Type::TEXT),
            },
        };
        let size = type_size(&kind);
        let info = FieldInfo::new(field.name().clone(), None, None, kind, format).with_type_size(size);
        Column { field: plain, info, form }
    }

    fn prepare(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let array = plain(array)?;
        match self.form {
            Form::Arrow => Ok(array),
            Form::Text if array.data_type() == &DataType::Null => Ok(array),
            Form::Numeric | Form::Text => Ok(Arc::new(as_strings(&array)?)),
        }
    }

    fn put(&self, out: &mut BytesMut, array: &ArrayRef, row: usize) -> PgWireResult<()> {
        if array.data_type() == &DataType::Null || array.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        match self.form {
            Form::Arrow => encode_value(&mut Cell { out }, array, row, &self.field, &self.info),
            Form::Numeric if self.info.format() == FieldFormat::Binary => {
                with_length(out, |out| numeric::put(out, array.as_string::<i32>().value(row)));
                Ok(())
            }
            Form::Numeric | Form::Text => {
                with_length(out, |out| out.put_slice(array.as_string::<i32>().value(row).as_bytes()));
                Ok(())
            }
        }
    }
}

/// `pg_type.typlen`
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

/// One batch, and how far it has been sent.
pub(super) struct Rows {
    columns: Vec<ArrayRef>,
    next: usize,
    count: usize,
}

impl Rows {
    pub(super) fn of(shape: &Shape, batch: &RecordBatch) -> Result<Rows, Fault> {
        let columns: Result<Vec<ArrayRef>, ArrowError> =
            shape.columns.iter().zip(batch.columns()).map(|(column, array)| column.prepare(array)).collect();
        let columns = columns.map_err(|error| Failure::from_datafusion(error.into()))?;
        Ok(Rows { columns, next: 0, count: batch.num_rows() })
    }

    /// Writes the next row; false when there is none left.
    pub(super) fn put_next(&mut self, shape: &Shape, out: &mut BytesMut) -> Result<bool, Fault> {
        if self.next == self.count {
            return Ok(false);
        }
        let start = out.len();
        if let Err(error) = self.put(shape, out) {
            out.truncate(start);
            return Err(error.into());
        }
        self.next += 1;
        Ok(true)
    }

    fn put(&self, shape: &Shape, out: &mut BytesMut) -> PgWireResult<()> {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_i16(shape.columns.len() as i16);
        for (column, array) in shape.columns.iter().zip(&self.columns) {
            column.put(out, array, self.next)?;
        }
        let length = (out.len() - start) as i32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}

/// A value with its length before it; the length does not count itself.
fn with_length(out: &mut BytesMut, value: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    value(out);
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Where arrow-pg writes one value.
struct Cell<'a> {
    out: &'a mut BytesMut,
}

impl Encoder for Cell<'_> {
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
