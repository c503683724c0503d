//! Column definitions: which MySQL type an Arrow type is, how wide, with which flags. Values are `value`'s.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::packet::{Wire, put_lenenc, put_length};
use super::protocol::*;
use super::reply;
use crate::display::plain_type;

/// Field metadata in which the catalog says what DESC shows, such as `varchar(46)`.
const MYSQL_TYPE: &str = "mysql_type";
/// For text of unknown length: the longest VARCHAR of utf8mb4, in bytes.
const TEXT_BYTES: u32 = 65_535;
const MAX_BYTES_PER_CHAR: u32 = 4;
/// "as many as it takes", for floating-point numbers.
const NOT_FIXED: u8 = 31;

/// What a client learns of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kind: u8,
    pub(super) length: u32,
    pub(super) decimals: u8,
    pub(super) flags: u16,
    pub(super) charset: u16,
}

impl Shape {
    pub(super) fn of(field: &Field) -> Shape {
        let mut shape = Shape::of_type(field.data_type());
        if !field.is_nullable() {
            shape.flags |= NOT_NULL_FLAG;
        }
        if let Some(declared) = field.metadata().get(MYSQL_TYPE).and_then(|text| declared_length(text)) {
            shape.declare(declared);
        }
        shape
    }

    fn of_type(data_type: &DataType) -> Shape {
        match plain_type(data_type) {
            DataType::Null => Shape::number(types::NULL, 0, 0, 0),
            DataType::Boolean => Shape::number(types::TINY, 1, 0, 0),
            DataType::Int8 => Shape::number(types::TINY, 4, 0, 0),
            DataType::Int16 => Shape::number(types::SHORT, 6, 0, 0),
            DataType::Int32 => Shape::number(types::LONG, 11, 0, 0),
            DataType::Int64 => Shape::number(types::LONGLONG, 20, 0, 0),
            DataType::UInt8 => Shape::number(types::TINY, 3, 0, UNSIGNED_FLAG),
            DataType::UInt16 => Shape::number(types::SHORT, 5, 0, UNSIGNED_FLAG),
            DataType::UInt32 => Shape::number(types::LONG, 10, 0, UNSIGNED_FLAG),
            DataType::UInt64 => Shape::number(types::LONGLONG, 20, 0, UNSIGNED_FLAG),
            DataType::Float16 | DataType::Float32 => Shape::number(types::FLOAT, 12, NOT_FIXED, 0),
            DataType::Float64 => Shape::number(types::DOUBLE, 22, NOT_FIXED, 0),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => {
                let decimals = u8::try_from(*scale).unwrap_or(0);
                Shape::number(types::NEWDECIMAL, u32::from(*precision) + 2, decimals, 0)
            }
            DataType::Date32 | DataType::Date64 => Shape::number(types::DATE, 10, 0, BINARY_FLAG),
            DataType::Timestamp(TimeUnit::Second, _) => Shape::number(types::DATETIME, 19, 0, BINARY_FLAG),
            DataType::Timestamp(..) => Shape::number(types::DATETIME, 26, 6, BINARY_FLAG),
            DataType::Time32(_) | DataType::Time64(_) => Shape::number(types::TIME, 17, 6, BINARY_FLAG),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Shape::number(types::VAR_STRING, TEXT_BYTES, 0, BINARY_FLAG)
            }
            _ => Shape {
                kind: types::VAR_STRING,
                length: TEXT_BYTES,
                decimals: 0,
                flags: 0,
                charset: UTF8MB4_GENERAL_CI,
            },
        }
    }

    fn number(kind: u8, length: u32, decimals: u8, flags: u16) -> Shape {
        Shape { kind, length, decimals, flags, charset: BINARY_CHARSET }
    }

    fn declare(&mut self, length: u32) {
        match self.kind {
            types::VAR_STRING if self.charset == UTF8MB4_GENERAL_CI => {
                self.length = length.saturating_mul(MAX_BYTES_PER_CHAR);
            }
            types::VAR_STRING | types::TINY | types::SHORT | types::LONG | types::LONGLONG => self.length = length,
            _ => {}
        }
    }
}

/// 46 of `varchar(46)`; `decimal(10,2)` and the like say nothing new.
fn declared_length(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once('(')?;
    let (length, _) = rest.split_once(')')?;
    length.trim().parse().ok()
}

/// The head of a result set: the number of columns and each one's definition.
pub(super) fn write_header(wire: &mut Wire, schema: &Schema, deprecate_eof: bool, status: u16) {
    wire.write(|out| put_length(out, schema.fields().len() as u64));
    write_columns(wire, schema, deprecate_eof, status);
}

/// The definitions alone, and their EOF for clients that want one.
pub(super) fn write_columns(wire: &mut Wire, schema: &Schema, deprecate_eof: bool, status: u16) {
    for field in schema.fields() {
        let shape = Shape::of(field);
        wire.write(|out| define(out, field.name(), shape));
    }
    if !deprecate_eof {
        reply::eof(wire, status, 0);
    }
}

/// ColumnDefinition41.
pub(super) fn define(out: &mut BytesMut, name: &str, shape: Shape) {
    put_lenenc(out, b"def");
    put_lenenc(out, b""); // schema
    put_lenenc(out, b""); // table
    put_lenenc(out, b""); // table before aliases
    put_lenenc(out, name.as_bytes());
    put_lenenc(out, name.as_bytes());
    put_length(out, 0x0c);
    out.put_u16_le(shape.charset);
    out.put_u32_le(shape.length);
    out.put_u8(shape.kind);
    out.put_u16_le(shape.flags);
    out.put_u8(shape.decimals);
    out.put_u16_le(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn declared(data_type: DataType, text: &str) -> Shape {
        let metadata = HashMap::from([(MYSQL_TYPE.to_owned(), text.to_owned())]);
        Shape::of(&Field::new("c", data_type, false).with_metadata(metadata))
    }

    #[test]
    fn the_declared_type_gives_the_length() {
        let ip = declared(DataType::Utf8View, "varchar(46)");
        assert_eq!((ip.kind, ip.length, ip.charset), (types::VAR_STRING, 184, UTF8MB4_GENERAL_CI));
        let count = declared(DataType::Int64, "bigint(20)");
        assert_eq!((count.kind, count.length), (types::LONGLONG, 20));
        assert_eq!(count.flags & NOT_NULL_FLAG, NOT_NULL_FLAG);
        assert_eq!(declared_length("longtext"), None);
        assert_eq!(declared_length("decimal(10,2)"), None);
    }

    #[test]
    fn storage_is_not_type() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::UInt64));
        let shape = Shape::of(&Field::new("c", dictionary, true));
        assert_eq!(shape.kind, types::LONGLONG);
        assert_eq!(shape.flags & UNSIGNED_FLAG, UNSIGNED_FLAG);
        assert_eq!(shape.flags & NOT_NULL_FLAG, 0);
    }
}
