//! The values of a prepared statement's parameters, from the binary protocol to the engine's scalars. It holds no
//! statement; `statement` calls it.

use std::collections::BTreeMap;

use datafusion::scalar::ScalarValue;

use super::protocol::types;
use crate::cursor::{DecodeError, MessageCursor};
use crate::display::days_from_civil;

/// The type of a parameter, as the client has announced it. It may announce it once for several executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ParameterType {
    code: u8,
    unsigned: bool,
}

/// Reads the part of COM_STMT_EXECUTE that follows its fixed head. `long` has the values that COM_STMT_SEND_LONG_DATA sent ahead, and
/// `types` keeps the types for the next execution.
pub(super) fn read(
    body: &mut MessageCursor<'_>,
    count: usize,
    types: &mut Vec<ParameterType>,
    long: &BTreeMap<u16, Vec<u8>>,
) -> Result<Vec<ScalarValue>, DecodeError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let nulls = body.take(count.div_ceil(8), "bitmap of NULLs")?;
    if body.u8("flag of new types")? == 1 {
        *types = (0..count).map(|_| read_type(body)).collect::<Result<_, _>>()?;
    }
    if types.len() != count {
        return Err(DecodeError("types of the parameters"));
    }
    types
        .iter()
        .enumerate()
        .map(|(index, kind)| {
            if let Some(value) = u16::try_from(index).ok().and_then(|index| long.get(&index)) {
                return Ok(text_or_bytes(value));
            }
            if nulls[index / 8] & (1 << (index % 8)) != 0 {
                return Ok(ScalarValue::Null);
            }
            read_value(body, *kind)
        })
        .collect()
}

fn read_type(body: &mut MessageCursor<'_>) -> Result<ParameterType, DecodeError> {
    let code = body.u8("type of a parameter")?;
    let unsigned = body.u8("type of a parameter")? & 0x80 != 0;
    Ok(ParameterType { code, unsigned })
}

fn read_value(body: &mut MessageCursor<'_>, kind: ParameterType) -> Result<ScalarValue, DecodeError> {
    const WHAT: &str = "value of a parameter";
    let integer = |signed: i64, unsigned: u64| match kind.unsigned {
        true => ScalarValue::UInt64(Some(unsigned)),
        false => ScalarValue::Int64(Some(signed)),
    };
    Ok(match kind.code {
        types::NULL => ScalarValue::Null,
        types::TINY => {
            let byte = body.u8(WHAT)?;
            integer(i64::from(byte as i8), u64::from(byte))
        }
        types::SHORT | types::YEAR => {
            let short = body.u16_le(WHAT)?;
            integer(i64::from(short as i16), u64::from(short))
        }
        types::LONG | types::INT24 => {
            let long = body.u32_le(WHAT)?;
            integer(i64::from(long as i32), u64::from(long))
        }
        types::LONGLONG => {
            let longlong = u64::from_le_bytes(body.array(WHAT)?);
            integer(longlong as i64, longlong)
        }
        types::FLOAT => ScalarValue::Float32(Some(f32::from_le_bytes(body.array(WHAT)?))),
        types::DOUBLE => ScalarValue::Float64(Some(f64::from_le_bytes(body.array(WHAT)?))),
        types::DATE | types::DATETIME | types::TIMESTAMP => read_timestamp(body, kind.code)?,
        types::TIME => read_time(body)?,
        types::DECIMAL | types::NEWDECIMAL => decimal(body.lenenc(WHAT)?),
        _ => text_or_bytes(body.lenenc(WHAT)?),
    })
}

/// UTF-8 becomes text, other content bytes. Clients send both as strings.
fn text_or_bytes(bytes: &[u8]) -> ScalarValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => ScalarValue::Utf8(Some(text.to_owned())),
        Err(_) => ScalarValue::Binary(Some(bytes.to_vec())),
    }
}

/// A decimal becomes a double, as MySQL compares it with doubles too.
fn decimal(bytes: &[u8]) -> ScalarValue {
    match std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()) {
        Some(value) => ScalarValue::Float64(Some(value)),
        None => text_or_bytes(bytes),
    }
}

/// Reads 0, 4, 7 or 11 bytes: nothing, a date, a time of day, microseconds. The zero date becomes NULL.
fn read_timestamp(body: &mut MessageCursor<'_>, code: u8) -> Result<ScalarValue, DecodeError> {
    const WHAT: &str = "date of a parameter";
    let length = body.u8(WHAT)?;
    if length == 0 {
        return Ok(ScalarValue::Null);
    }
    let mut fields = MessageCursor::new(body.take(usize::from(length), WHAT)?);
    let (year, month, day) = (fields.u16_le(WHAT)?, fields.u8(WHAT)?, fields.u8(WHAT)?);
    let days = days_from_civil(i64::from(year), month, day);
    if code == types::DATE {
        return Ok(ScalarValue::Date32(i32::try_from(days).ok()));
    }
    let micros = days * 86_400_000_000 + read_clock(&mut fields)?;
    Ok(ScalarValue::TimestampMicrosecond(Some(micros), None))
}

/// Reads 0, 8 or 12 bytes: sign, days, time of day, microseconds. The engine has times within a day only.
fn read_time(body: &mut MessageCursor<'_>) -> Result<ScalarValue, DecodeError> {
    const WHAT: &str = "time of a parameter";
    let length = body.u8(WHAT)?;
    if length == 0 {
        return Ok(ScalarValue::Time64Microsecond(Some(0)));
    }
    let mut fields = MessageCursor::new(body.take(usize::from(length), WHAT)?);
    let negative = fields.u8(WHAT)? != 0;
    let days = fields.u32_le(WHAT)?;
    let clock = read_clock(&mut fields)?;
    if negative || days > 0 {
        return Err(DecodeError("time of a parameter, which must be within one day"));
    }
    Ok(ScalarValue::Time64Microsecond(Some(clock)))
}

/// Reads microseconds since midnight from the fields that are present.
fn read_clock(fields: &mut MessageCursor<'_>) -> Result<i64, DecodeError> {
    const WHAT: &str = "time of day of a parameter";
    if fields.is_empty() {
        return Ok(0);
    }
    let [hours, minutes, seconds] = fields.array(WHAT)?;
    let micros = if fields.is_empty() { 0 } else { fields.u32_le(WHAT)? };
    let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
    Ok(seconds * 1_000_000 + i64::from(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(body: &[u8], count: usize) -> Result<Vec<ScalarValue>, DecodeError> {
        read(&mut MessageCursor::new(body), count, &mut Vec::new(), &BTreeMap::new())
    }

    #[test]
    fn reads_every_kind() {
        let mut body = vec![0b10, 1];
        body.extend([types::TINY, 0, types::LONG, 0, types::VAR_STRING, 0, types::DOUBLE, 0]);
        body.push(0xff);
        body.extend(b"\x03abc");
        body.extend(1.5f64.to_le_bytes());
        let read = values(&body, 4).expect("values");
        assert_eq!(
            read,
            [
                ScalarValue::Int64(Some(-1)),
                ScalarValue::Null,
                ScalarValue::Utf8(Some("abc".to_owned())),
                ScalarValue::Float64(Some(1.5)),
            ]
        );
        for end in 0..body.len() {
            assert!(values(&body[..end], 4).is_err(), "{end}");
        }
    }

    #[test]
    fn moments() {
        let date = [0, 1, types::DATE, 0, 4, 0xb2, 7, 1, 2];
        assert_eq!(values(&date, 1), Ok(vec![ScalarValue::Date32(Some(1))]));
        let stamp = [0, 1, types::DATETIME, 0, 7, 0xb2, 7, 1, 1, 0, 1, 2];
        assert_eq!(values(&stamp, 1), Ok(vec![ScalarValue::TimestampMicrosecond(Some(62_000_000), None)]));
        let time = [0, 1, types::TIME, 0, 8, 1, 0, 0, 0, 0, 1, 0, 0];
        assert!(values(&time, 1).is_err());
    }

    #[test]
    fn types_are_remembered_and_long_values_win() {
        let mut types = Vec::new();
        let long = BTreeMap::from([(0, b"long".to_vec())]);
        let first = [0, 1, types::VAR_STRING, 0];
        let value = read(&mut MessageCursor::new(&first), 1, &mut types, &long);
        assert_eq!(value, Ok(vec![ScalarValue::Utf8(Some("long".to_owned()))]));
        let again = [0, 0, 1, b'x'];
        let value = read(&mut MessageCursor::new(&again), 1, &mut types, &BTreeMap::new());
        assert_eq!(value, Ok(vec![ScalarValue::Utf8(Some("x".to_owned()))]));
        assert!(read(&mut MessageCursor::new(&again), 1, &mut Vec::new(), &BTreeMap::new()).is_err());
    }
}
