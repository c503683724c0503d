//! Column definitions: the MySQL type, width and flags of each Arrow type. Values are `value`'s.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::packet::{PacketStream, put_lenenc, put_length};
use super::protocol::*;
use super::reply;
use crate::display::plain_type;

/// Field metadata with the type that DESC shows, such as `varchar(46)`.
const MYSQL_TYPE: &str = "mysql_type";
/// Length of text that declares none: the longest VARCHAR of utf8mb4, in bytes.
const TEXT_BYTES: u32 = 65_535;
const MAX_BYTES_PER_CHAR: u32 = 4;
/// Number of decimals of a floating-point number: as many as it takes.
const NOT_FIXED: u8 = 31;

/// The type of a column, as a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColumnDefinition {
    pub(super) kind: u8,
    pub(super) length: u32,
    pub(super) decimals: u8,
    pub(super) flags: u16,
    pub(super) charset: u16,
}

impl ColumnDefinition {
    pub(super) fn new(field: &Field) -> ColumnDefinition {
        let mut definition = ColumnDefinition::of_type(field.data_type());
        if !field.is_nullable() {
            definition.flags |= NOT_NULL_FLAG;
        }
        if let Some(declared) = field.metadata().get(MYSQL_TYPE).and_then(|text| declared_length(text)) {
            definition.declare(declared);
        }
        definition
    }

    fn of_type(data_type: &DataType) -> ColumnDefinition {
        match plain_type(data_type) {
            DataType::Null => ColumnDefinition::number(types::NULL, 0, 0, 0),
            DataType::Boolean => ColumnDefinition::number(types::TINY, 1, 0, 0),
            DataType::Int8 => ColumnDefinition::number(types::TINY, 4, 0, 0),
            DataType::Int16 => ColumnDefinition::number(types::SHORT, 6, 0, 0),
            DataType::Int32 => ColumnDefinition::number(types::LONG, 11, 0, 0),
            DataType::Int64 => ColumnDefinition::number(types::LONGLONG, 20, 0, 0),
            DataType::UInt8 => ColumnDefinition::number(types::TINY, 3, 0, UNSIGNED_FLAG),
            DataType::UInt16 => ColumnDefinition::number(types::SHORT, 5, 0, UNSIGNED_FLAG),
            DataType::UInt32 => ColumnDefinition::number(types::LONG, 10, 0, UNSIGNED_FLAG),
            DataType::UInt64 => ColumnDefinition::number(types::LONGLONG, 20, 0, UNSIGNED_FLAG),
            DataType::Float16 | DataType::Float32 => ColumnDefinition::number(types::FLOAT, 12, NOT_FIXED, 0),
            DataType::Float64 => ColumnDefinition::number(types::DOUBLE, 22, NOT_FIXED, 0),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => {
                let decimals = u8::try_from(*scale).unwrap_or(0);
                ColumnDefinition::number(types::NEWDECIMAL, u32::from(*precision) + 2, decimals, 0)
            }
            DataType::Date32 | DataType::Date64 => ColumnDefinition::number(types::DATE, 10, 0, BINARY_FLAG),
            DataType::Timestamp(TimeUnit::Second, _) => ColumnDefinition::number(types::DATETIME, 19, 0, BINARY_FLAG),
            DataType::Timestamp(..) => ColumnDefinition::number(types::DATETIME, 26, 6, BINARY_FLAG),
            DataType::Time32(_) | DataType::Time64(_) => ColumnDefinition::number(types::TIME, 17, 6, BINARY_FLAG),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                ColumnDefinition::number(types::VAR_STRING, TEXT_BYTES, 0, BINARY_FLAG)
            }
            _ => ColumnDefinition {
                kind: types::VAR_STRING,
                length: TEXT_BYTES,
                decimals: 0,
                flags: 0,
                charset: UTF8MB4_GENERAL_CI,
            },
        }
    }

    fn number(kind: u8, length: u32, decimals: u8, flags: u16) -> ColumnDefinition {
        ColumnDefinition { kind, length, decimals, flags, charset: BINARY_CHARSET }
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

/// 46 of `varchar(46)`. Other declarations, such as `decimal(10,2)`, give no length.
fn declared_length(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once('(')?;
    let (length, _) = rest.split_once(')')?;
    length.trim().parse().ok()
}

/// Writes the head of a result set: the number of columns and each one's definition.
pub(super) fn write_header(wire: &mut PacketStream, schema: &Schema, deprecate_eof: bool, status: u16) {
    wire.write(|out| put_length(out, schema.fields().len() as u64));
    write_columns(wire, schema, deprecate_eof, status);
}

/// Writes the definitions, and an EOF for clients that expect one.
pub(super) fn write_columns(wire: &mut PacketStream, schema: &Schema, deprecate_eof: bool, status: u16) {
    for field in schema.fields() {
        let definition = ColumnDefinition::new(field);
        wire.write(|out| define(out, field.name(), definition));
    }
    if !deprecate_eof {
        reply::eof(wire, status, 0);
    }
}

/// Writes a ColumnDefinition41.
pub(super) fn define(out: &mut BytesMut, name: &str, definition: ColumnDefinition) {
    put_lenenc(out, b"def");
    put_lenenc(out, b""); // schema
    put_lenenc(out, b""); // table
    put_lenenc(out, b""); // table before aliases
    put_lenenc(out, name.as_bytes());
    put_lenenc(out, name.as_bytes());
    put_length(out, 0x0c);
    out.put_u16_le(definition.charset);
    out.put_u32_le(definition.length);
    out.put_u8(definition.kind);
    out.put_u16_le(definition.flags);
    out.put_u8(definition.decimals);
    out.put_u16_le(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn declared(data_type: DataType, text: &str) -> ColumnDefinition {
        let metadata = HashMap::from([(MYSQL_TYPE.to_owned(), text.to_owned())]);
        ColumnDefinition::new(&Field::new("c", data_type, false).with_metadata(metadata))
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
        let definition = ColumnDefinition::new(&Field::new("c", dictionary, true));
        assert_eq!(definition.kind, types::LONGLONG);
        assert_eq!(definition.flags & UNSIGNED_FLAG, UNSIGNED_FLAG);
        assert_eq!(definition.flags & NOT_NULL_FLAG, 0);
    }
}
