//! Parameters of prepared statements: counting them, and putting values (or only types) in their place in the tree.
//! In the tree, because a LIMIT or a select item takes a value there as readily as a comparison does.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, ExactNumberInfo, Expr, LimitClause, Query, Statement, TimezoneInfo, Value, Visit,
    VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::Values;
use crate::text::tokens::TokenStream;
use heapql_server::failure::{Failure, FailureKind};

/// The highest `$n`.
pub(crate) fn parameter_count(lexed: &TokenStream<'_>) -> usize {
    let number = |token: &Token| match token {
        Token::Placeholder(name) => index(name).map(|index| index + 1),
        _ => None,
    };
    lexed.tokens.iter().filter_map(|token| number(&token.token)).max().unwrap_or(0)
}

fn index(placeholder: &str) -> Option<usize> {
    placeholder.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}

fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => index(name),
            _ => None,
        },
        _ => None,
    }
}

/// Parameters that count rows (LIMIT, OFFSET); the engine does not say their type.
pub(super) fn row_counts(statement: &Statement) -> Vec<usize> {
    struct Limits(Vec<usize>);
    impl Visitor for Limits {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let counts = match &query.limit_clause {
                Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                    [limit.as_ref(), offset.as_ref().map(|offset| &offset.value)]
                }
                Some(LimitClause::OffsetCommaLimit { offset, limit }) => [Some(limit), Some(offset)],
                None => [None, None],
            };
            self.0.extend(counts.into_iter().flatten().filter_map(placeholder));
            ControlFlow::Continue(())
        }
    }
    let mut limits = Limits(Vec::new());
    let _ = statement.visit(&mut limits);
    limits.0
}

pub(super) fn bind(statement: &mut Statement, values: &Values<'_>) -> Result<(), Failure> {
    struct Bind<'a>(&'a Values<'a>);
    impl VisitorMut for Bind<'_> {
        type Break = Failure;
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Failure> {
            let Some(index) = placeholder(expr) else {
                return ControlFlow::Continue(());
            };
            let replacement = match self.0 {
                Values::Bound(values) => values.get(index).map(value),
                Values::Typed(types) => types.get(index).map(|kind| Ok(cast(text_or_null(None), kind))),
            };
            match replacement {
                Some(Ok(replacement)) => *expr = replacement,
                Some(Err(failure)) => return ControlFlow::Break(failure),
                None => return ControlFlow::Break(missing(index)),
            }
            ControlFlow::Continue(())
        }
    }
    match statement.visit(&mut Bind(values)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(failure) => Err(failure),
    }
}

fn missing(index: usize) -> Failure {
    Failure::new(FailureKind::Query, format!("parameter {} has no value", index + 1))
}

/// A value as a literal of the same type.
fn value(value: &ScalarValue) -> Result<Expr, Failure> {
    if value.is_null() {
        return Ok(cast(text_or_null(None), &value.data_type()));
    }
    if let Some(text) = value.try_as_str() {
        return Ok(text_or_null(text.map(str::to_owned)));
    }
    match value {
        ScalarValue::Boolean(Some(value)) => Ok(Expr::value(Value::Boolean(*value))),
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            Ok(Expr::value(Value::HexStringLiteral(digits)))
        }
        other => {
            let text = other.cast_to(&DataType::Utf8)?.to_string();
            let counts = other.data_type().is_integer() && !text.starts_with('-');
            if counts {
                return Ok(Expr::value(Value::Number(text, false)));
            }
            Ok(cast(text_or_null(Some(text)), &other.data_type()))
        }
    }
}

fn text_or_null(text: Option<String>) -> Expr {
    Expr::value(text.map_or(Value::Null, Value::SingleQuotedString))
}

fn cast(expr: Expr, kind: &DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type: sql_type(kind), array: false, format: None }
}

fn sql_type(kind: &DataType) -> SqlType {
    match kind {
        DataType::Boolean => SqlType::Boolean,
        DataType::UInt64 => SqlType::BigIntUnsigned(None),
        kind if kind.is_integer() => SqlType::BigInt(None),
        kind if kind.is_floating() => SqlType::Double(ExactNumberInfo::None),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            SqlType::Decimal(ExactNumberInfo::PrecisionAndScale(u64::from(*precision), i64::from(*scale)))
        }
        DataType::Date32 | DataType::Date64 => SqlType::Date,
        DataType::Time32(_) | DataType::Time64(_) => SqlType::Time(None, TimezoneInfo::None),
        DataType::Timestamp(_, None) => SqlType::Timestamp(None, TimezoneInfo::None),
        DataType::Timestamp(_, Some(_)) => SqlType::Timestamp(None, TimezoneInfo::WithTimeZone),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => SqlType::Bytea,
        _ => SqlType::Text,
    }
}

/// The type that protocols know for an inferred one.
pub(super) fn plain(kind: DataType) -> DataType {
    match kind {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone),
        other => other,
    }
}
