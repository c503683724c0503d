//! The request of one scan: columns, pushed conditions, order and limit; and which filters of a query can be pushed.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};

/// The right side of a pushed `column = literal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Literal {
    Text(String),
    Int(i64),
    Bool(bool),
}

/// The column that rows are ordered by, ascending unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub column: String,
    pub descending: bool,
}

/// Projected columns (indices into the table's), pushed equalities, the order, and the most rows that are wanted.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    pub columns: Vec<usize>,
    pub equal: Vec<(String, Literal)>,
    pub order: Option<Order>,
    pub limit: Option<usize>,
}

/// `column = literal` or `literal = column`, if that is what the filter says about one of `columns`. A condition that is a
/// column is the same as one that equals true.
pub(crate) fn equality(filter: &Expr, columns: &[&str]) -> Option<(String, Literal)> {
    let is = |column: &Column, value| {
        columns.contains(&column.name.as_str()).then(|| (column.name.clone(), Literal::Bool(value)))
    };
    match filter {
        Expr::Column(column) => return is(column, true),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::Column(column) => return is(column, false),
            _ => return None,
        },
        _ => {}
    }
    let Expr::BinaryExpr(binary) = filter else {
        return None;
    };
    if binary.op != Operator::Eq {
        return None;
    }
    let (column, value) = match (binary.left.as_ref(), binary.right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, value),
        _ => return None,
    };
    columns.contains(&column.name.as_str()).then_some(())?;
    Some((column.name.clone(), literal(value)?))
}

fn literal(value: &ScalarValue) -> Option<Literal> {
    if let Some(text) = value.try_as_str() {
        return text.map(|text| Literal::Text(text.to_owned()));
    }
    match value {
        ScalarValue::Boolean(Some(value)) => Some(Literal::Bool(*value)),
        ScalarValue::Int8(Some(value)) => Some(Literal::Int(i64::from(*value))),
        ScalarValue::Int16(Some(value)) => Some(Literal::Int(i64::from(*value))),
        ScalarValue::Int32(Some(value)) => Some(Literal::Int(i64::from(*value))),
        ScalarValue::Int64(Some(value)) => Some(Literal::Int(*value)),
        ScalarValue::UInt64(Some(value)) => i64::try_from(*value).ok().map(Literal::Int),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn takes_equalities_of_its_columns_only() {
        let columns = ["mod_name", "tenant_id"];
        assert_eq!(
            equality(&col("mod_name").eq(lit("a")), &columns),
            Some(("mod_name".into(), Literal::Text("a".into())))
        );
        assert_eq!(
            equality(&lit(500i64).eq(col("tenant_id")), &columns),
            Some(("tenant_id".into(), Literal::Int(500)))
        );
        let pushed = ["is_server"];
        assert_eq!(equality(&!col("is_server"), &pushed), Some(("is_server".into(), Literal::Bool(false))));
        assert_eq!(equality(&col("is_server"), &pushed), Some(("is_server".into(), Literal::Bool(true))));
        assert_eq!(equality(&!col("is_server"), &columns), None);
        assert_eq!(equality(&col("alloc_bytes").eq(lit(1i64)), &columns), None);
        assert_eq!(equality(&col("mod_name").not_eq(lit("a")), &columns), None);
        assert_eq!(equality(&col("mod_name").eq(lit(ScalarValue::Utf8(None))), &columns), None);
    }
}
