//! Values of one batch in MySQL's text and binary forms. A column is converted once (`ColumnValues::new`) and then written row by row.
//! The declared type of a column is `column`'s; both start from the same Arrow type.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Float32Array, Float64Array, Int64Array, StringArray,
    StringViewArray, UInt64Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit, UInt64Type};
use datafusion::arrow::error::ArrowError;

use super::packet::{put_lenenc, put_short};
use super::protocol::types;
use crate::display::{as_strings, civil_from_days, plain};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
const NULL: u8 = 0xfb;

/// The values of one column of a batch.
pub(super) enum ColumnValues {
    Null,
    Bool(BooleanArray),
    Int(Int64Array),
    Uint(UInt64Array),
    Float(Float32Array),
    Double(Float64Array),
    Text(StringArray),
    View(StringViewArray),
    Bytes(BinaryViewArray),
    /// Days since 1970-01-01.
    Date(Int64Array),
    /// Time since 1970-01-01, and the scale that converts it into microseconds.
    Timestamp(Int64Array, TimeScale),
    /// Time since midnight, and the scale that converts it into microseconds.
    Time(Int64Array, TimeScale),
}

/// The ratio of a unit of time to a microsecond.
#[derive(Clone, Copy)]
pub(super) struct TimeScale {
    multiply: i64,
    divide: i64,
}

impl TimeScale {
    fn new(unit: TimeUnit) -> TimeScale {
        let (multiply, divide) = match unit {
            TimeUnit::Second => (MICROS_PER_SECOND, 1),
            TimeUnit::Millisecond => (1_000, 1),
            TimeUnit::Microsecond => (1, 1),
            TimeUnit::Nanosecond => (1, 1_000),
        };
        TimeScale { multiply, divide }
    }

    fn micros(self, value: i64) -> i64 {
        value.saturating_mul(self.multiply).div_euclid(self.divide)
    }
}

impl ColumnValues {
    pub(super) fn new(column: &ArrayRef) -> Result<ColumnValues, ArrowError> {
        let column = plain(column)?;
        let ints = |column: &ArrayRef| -> Result<Int64Array, ArrowError> {
            Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        };
        Ok(match column.data_type() {
            DataType::Null => ColumnValues::Null,
            DataType::Boolean => ColumnValues::Bool(column.as_boolean().clone()),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ColumnValues::Int(ints(&column)?),
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
                ColumnValues::Uint(cast(&column, &DataType::UInt64)?.as_primitive::<UInt64Type>().clone())
            }
            DataType::Float16 | DataType::Float32 => {
                ColumnValues::Float(cast(&column, &DataType::Float32)?.as_primitive::<Float32Type>().clone())
            }
            DataType::Float64 => ColumnValues::Double(column.as_primitive::<Float64Type>().clone()),
            DataType::Utf8 => ColumnValues::Text(column.as_string::<i32>().clone()),
            DataType::Utf8View => ColumnValues::View(column.as_string_view().clone()),
            DataType::LargeUtf8 => ColumnValues::View(cast(&column, &DataType::Utf8View)?.as_string_view().clone()),
            DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) | DataType::BinaryView => {
                ColumnValues::Bytes(cast(&column, &DataType::BinaryView)?.as_binary_view().clone())
            }
            DataType::Date32 => ColumnValues::Date(ints(&cast(&column, &DataType::Int32)?)?),
            DataType::Date64 => ColumnValues::Date(ints(&cast(&cast(&column, &DataType::Date32)?, &DataType::Int32)?)?),
            DataType::Timestamp(unit, _) => ColumnValues::Timestamp(ints(&column)?, TimeScale::new(*unit)),
            DataType::Time32(unit) => {
                ColumnValues::Time(ints(&cast(&column, &DataType::Int32)?)?, TimeScale::new(*unit))
            }
            DataType::Time64(unit) => ColumnValues::Time(ints(&column)?, TimeScale::new(*unit)),
            _ => ColumnValues::Text(as_strings(&column)?),
        })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        match self {
            ColumnValues::Null => true,
            ColumnValues::Bool(array) => array.is_null(row),
            ColumnValues::Int(array)
            | ColumnValues::Date(array)
            | ColumnValues::Timestamp(array, _)
            | ColumnValues::Time(array, _) => array.is_null(row),
            ColumnValues::Uint(array) => array.is_null(row),
            ColumnValues::Float(array) => array.is_null(row),
            ColumnValues::Double(array) => array.is_null(row),
            ColumnValues::Text(array) => array.is_null(row),
            ColumnValues::View(array) => array.is_null(row),
            ColumnValues::Bytes(array) => array.is_null(row),
        }
    }

    pub(super) fn put_text(&self, out: &mut BytesMut, row: usize) {
        if self.is_null(row) {
            return out.put_u8(NULL);
        }
        match self {
            ColumnValues::Null => out.put_u8(NULL),
            ColumnValues::Bool(array) => put_lenenc(out, if array.value(row) { b"1" } else { b"0" }),
            ColumnValues::Int(array) => put_short(out, format_args!("{}", array.value(row))),
            ColumnValues::Uint(array) => put_short(out, format_args!("{}", array.value(row))),
            ColumnValues::Float(array) => {
                put_float(out, f64::from(array.value(row)), format_args!("{:?}", array.value(row)))
            }
            ColumnValues::Double(array) => put_float(out, array.value(row), format_args!("{:?}", array.value(row))),
            ColumnValues::Text(array) => put_lenenc(out, array.value(row).as_bytes()),
            ColumnValues::View(array) => put_lenenc(out, array.value(row).as_bytes()),
            ColumnValues::Bytes(array) => put_lenenc(out, array.value(row)),
            ColumnValues::Date(array) => {
                let (year, month, day) = civil_from_days(array.value(row));
                put_short(out, format_args!("{year:04}-{month:02}-{day:02}"));
            }
            ColumnValues::Timestamp(array, scale) => put_timestamp(out, scale.micros(array.value(row))),
            ColumnValues::Time(array, scale) => {
                let time = TimeOfDay::from_micros(scale.micros(array.value(row)));
                put_short(out, format_args!("{time}"));
            }
        }
    }

    /// A value that is not NULL, in the binary format of the declared type `kind`.
    pub(super) fn put_binary(&self, out: &mut BytesMut, row: usize, kind: u8) {
        match self {
            ColumnValues::Null => {}
            ColumnValues::Bool(array) => out.put_u8(u8::from(array.value(row))),
            ColumnValues::Int(array) => put_integer(out, array.value(row) as u64, kind),
            ColumnValues::Uint(array) => put_integer(out, array.value(row), kind),
            ColumnValues::Float(array) => out.put_f32_le(array.value(row)),
            ColumnValues::Double(array) => out.put_f64_le(array.value(row)),
            ColumnValues::Text(array) => put_lenenc(out, array.value(row).as_bytes()),
            ColumnValues::View(array) => put_lenenc(out, array.value(row).as_bytes()),
            ColumnValues::Bytes(array) => put_lenenc(out, array.value(row)),
            ColumnValues::Date(array) => {
                out.put_u8(4);
                put_date(out, array.value(row));
            }
            ColumnValues::Timestamp(array, scale) => {
                let micros = scale.micros(array.value(row));
                let (days, clock) = split_days(micros);
                out.put_u8(11);
                put_date(out, days);
                clock.put(out);
            }
            ColumnValues::Time(array, scale) => {
                out.put_u8(12);
                out.put_u8(0); // not negative
                out.put_u32_le(0); // days
                TimeOfDay::from_micros(scale.micros(array.value(row))).put(out);
            }
        }
    }
}

/// Writes the low bytes of a number. Two's complement makes this correct for both signs.
fn put_integer(out: &mut BytesMut, value: u64, kind: u8) {
    match kind {
        types::TINY => out.put_u8(value as u8),
        types::SHORT => out.put_u16_le(value as u16),
        types::LONG => out.put_u32_le(value as u32),
        _ => out.put_u64_le(value),
    }
}

/// Writes the shortest text that reads back as the same number, without a trailing `.0`.
fn put_float(out: &mut BytesMut, value: f64, text: std::fmt::Arguments<'_>) {
    if value.is_nan() {
        put_short(out, format_args!("NaN"));
    } else if value.is_infinite() {
        put_short(out, format_args!("{}", if value > 0.0 { "Infinity" } else { "-Infinity" }));
    } else {
        let start = out.len();
        put_short(out, text);
        if out.ends_with(b".0") {
            out.truncate(out.len() - 2);
            out[start] -= 2;
        }
    }
}

fn put_timestamp(out: &mut BytesMut, micros: i64) {
    let (days, clock) = split_days(micros);
    let (year, month, day) = civil_from_days(days);
    put_short(out, format_args!("{year:04}-{month:02}-{day:02} {clock}"));
}

fn put_date(out: &mut BytesMut, days: i64) {
    let (year, month, day) = civil_from_days(days);
    out.put_u16_le(year.clamp(0, i64::from(u16::MAX)) as u16);
    out.put_u8(month);
    out.put_u8(day);
}

fn split_days(micros: i64) -> (i64, TimeOfDay) {
    const DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;
    (micros.div_euclid(DAY), TimeOfDay::from_micros(micros.rem_euclid(DAY)))
}

/// A time of day.
struct TimeOfDay {
    hours: u8,
    minutes: u8,
    seconds: u8,
    micros: u32,
}

impl TimeOfDay {
    /// Splits microseconds since midnight.
    fn from_micros(micros: i64) -> TimeOfDay {
        let seconds = micros.div_euclid(MICROS_PER_SECOND);
        TimeOfDay {
            hours: (seconds / 3600).clamp(0, 23) as u8,
            minutes: (seconds / 60).rem_euclid(60) as u8,
            seconds: seconds.rem_euclid(60) as u8,
            micros: micros.rem_euclid(MICROS_PER_SECOND) as u32,
        }
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_slice(&[self.hours, self.minutes, self.seconds]);
        out.put_u32_le(self.micros);
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hours, self.minutes, self.seconds)?;
        if self.micros == 0 {
            return Ok(());
        }
        write!(f, ".{:06}", self.micros)
    }
}

#[cfg(test)]
mod tests;
