//! Parameters: the PostgreSQL type of each, and the values of a Bind as the engine's scalars. The forms of values are arrow-pg's.
//! Numerics are read by `numeric`, because they may have more digits than arrow-pg supports.

use std::sync::Arc;

use arrow_pg::datatypes::df::deserialize_parameters;
use arrow_pg::datatypes::into_pg_type;
use bytes::Bytes;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ParamValues;
use datafusion::scalar::ScalarValue;
use heapql_sql::Prepared;
use pgwire::api::Type;
use pgwire::api::portal::Portal;
use pgwire::api::stmt::StoredStatement;
use pgwire::messages::extendedquery;

use super::message::Bind;
use super::numeric;
use super::reply::ErrorReply;
use crate::codes;
use crate::coerce_parameters::coerce_parameters;
use crate::display::plain_type;

/// The Arrow type for a type that the client has given, or None to let the planner infer it.
pub(super) fn arrow_type(oid: u32) -> Option<DataType> {
    Some(match Type::from_oid(oid)? {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 | Type::OID => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => DataType::Utf8,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => return None,
    })
}

/// The type by which each parameter is read: the client's if it gave one, else the planner's.
pub(super) fn types(given: &[u32], prepared: &Prepared) -> Vec<Type> {
    prepared
        .parameters
        .iter()
        .enumerate()
        .map(|(index, inferred)| match given.get(index).copied().and_then(Type::from_oid) {
            None | Some(Type::UNKNOWN) => pg_type(inferred),
            Some(given) => given,
        })
        .collect()
}

/// The PostgreSQL type of an Arrow type. Types without a counterpart are text.
fn pg_type(inferred: &DataType) -> Type {
    match plain_type(inferred) {
        DataType::Null => Type::TEXT,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Type::NUMERIC
        }
        other => into_pg_type(other).unwrap_or(Type::TEXT),
    }
}

/// Reads the values of a Bind and coerces them to the types of the plan.
pub(super) fn read(bind: &Bind, types: &[Type], prepared: &Prepared) -> Result<Vec<ScalarValue>, ErrorReply> {
    if bind.values.len() != types.len() {
        let message = format!(
            "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
            bind.values.len(),
            bind.statement,
            types.len()
        );
        return Err(ErrorReply::new(codes::WRONG_ARGUMENTS, message));
    }
    let values = bind
        .values
        .iter()
        .zip(types)
        .enumerate()
        .map(|(index, (value, kind))| match value {
            None => Ok(ScalarValue::Null),
            Some(value) => read_value(value, kind, format_of(&bind.formats, index)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    coerce_parameters(values, prepared).map_err(|failure| ErrorReply::new(codes::BAD_VALUE, failure.message))
}

/// The format of one value. No format means text for all, one format is for all.
fn format_of(formats: &[i16], index: usize) -> i16 {
    match formats {
        [] => 0,
        [all] => *all,
        each => each.get(index).copied().unwrap_or(0),
    }
}

fn read_value(value: &Bytes, kind: &Type, format: i16) -> Result<ScalarValue, ErrorReply> {
    match *kind {
        Type::NUMERIC => read_numeric(value, format),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => read_text(value),
        Type::UUID if format == 0 => read_text(value),
        _ => read_typed(value, kind, format),
    }
}

fn read_text(value: &Bytes) -> Result<ScalarValue, ErrorReply> {
    match std::str::from_utf8(value) {
        Ok(text) => Ok(ScalarValue::Utf8(Some(text.to_owned()))),
        Err(_) => Err(ErrorReply::new(codes::BAD_TEXT, "invalid byte sequence for encoding \"UTF8\"")),
    }
}

/// Reads an integer exactly, and another number as a double.
fn read_numeric(value: &Bytes, format: i16) -> Result<ScalarValue, ErrorReply> {
    let bad = || ErrorReply::new(codes::BAD_VALUE, "invalid numeric parameter");
    let text = if format == 1 {
        numeric::read(value).map_err(|_| bad())?
    } else {
        std::str::from_utf8(value).map_err(|_| bad())?.trim().to_owned()
    };
    if let Ok(integer) = text.parse() {
        return Ok(ScalarValue::Int64(Some(integer)));
    }
    text.parse().map(|double| ScalarValue::Float64(Some(double))).map_err(|_| bad())
}

/// Reads a value with arrow-pg, which needs a portal around it.
fn read_typed(value: &Bytes, kind: &Type, format: i16) -> Result<ScalarValue, ErrorReply> {
    let bind = extendedquery::Bind::new(None, None, vec![format], vec![Some(value.clone())], Vec::new());
    let statement = StoredStatement::new(String::new(), (), vec![Some(kind.clone())]);
    let portal = Portal::try_new(&bind, Arc::new(statement))?;
    let value = match deserialize_parameters(&portal, &[None])? {
        ParamValues::List(values) => values.into_iter().next().map(|value| value.value),
        ParamValues::Map(_) => None,
    };
    value.ok_or_else(|| ErrorReply::new(codes::BAD_VALUE, format!("no value of type {kind}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(kind: Type, format: i16, value: &'static [u8]) -> Result<ScalarValue, ErrorReply> {
        read_value(&Bytes::from_static(value), &kind, format)
    }

    #[test]
    fn both_formats_of_common_types() {
        let int = Some(ScalarValue::Int64(Some(258)));
        assert_eq!(read_as(Type::INT8, 1, &[0, 0, 0, 0, 0, 0, 1, 2]).ok(), int);
        assert_eq!(read_as(Type::INT8, 0, b"258").ok(), int);
        assert_eq!(read_as(Type::NUMERIC, 0, b"258").ok(), int);
        assert_eq!(read_as(Type::NUMERIC, 1, &[0, 1, 0, 0, 0, 0, 0, 0, 1, 2]).ok(), int);
        assert_eq!(read_as(Type::NUMERIC, 0, b"1.5").ok(), Some(ScalarValue::Float64(Some(1.5))));
        assert_eq!(read_as(Type::BOOL, 0, b"t").ok(), Some(ScalarValue::Boolean(Some(true))));
        assert_eq!(read_as(Type::TEXT, 1, b"x").ok(), Some(ScalarValue::Utf8(Some("x".to_owned()))));
        assert_eq!(
            read_as(Type::TIMESTAMP, 0, b"1970-01-01 00:00:01").ok(),
            Some(ScalarValue::TimestampMicrosecond(Some(1_000_000), None))
        );
    }

    #[test]
    fn wrong_values_are_errors() {
        assert!(read_as(Type::INT8, 1, &[1, 2]).is_err());
        assert!(read_as(Type::INT8, 0, b"abc").is_err());
        assert!(read_as(Type::NUMERIC, 0, b"abc").is_err());
        assert!(read_as(Type::TEXT, 0, b"\xff").is_err());
    }

    #[test]
    fn formats_are_none_one_or_each() {
        assert_eq!(format_of(&[], 3), 0);
        assert_eq!(format_of(&[1], 3), 1);
        assert_eq!(format_of(&[0, 1], 1), 1);
    }
}
