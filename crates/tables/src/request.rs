//! What one scan is asked for, and which filters of a query a table takes upon itself.

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

/// By which column rows come, smallest first unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub column: String,
    pub descending: bool,
}

/// Projected columns (indices into the table's), pushed equalities, the order, and the most rows that are wanted.
#[derive(Clone, Debug)]
pub struct Request {
    pub columns: Vec<usize>,
    pub equal: Vec<(String, Literal)>,
    pub order: Option<Order>,
    pub limit: Option<usize>,
}

impl Request {
    /// Whether a row with this text in `column` passes.
    pub fn passes_text(&self, column: &str, value: &str) -> bool {
        self.wanted(column).all(|literal| matches!(literal, Literal::Text(text) if text == value))
    }

    /// Whether a row with this number in `column` passes.
    pub fn passes_int(&self, column: &str, value: i64) -> bool {
        self.wanted(column).all(|literal| *literal == Literal::Int(value))
    }

    /// Whether a row with this truth in `column` passes.
    pub fn passes_bool(&self, column: &str, value: bool) -> bool {
        self.wanted(column).all(|literal| *literal == Literal::Bool(value))
    }

    /// All literals that `column` must equal.
    pub fn wanted<'a>(&'a self, column: &'a str) -> impl Iterator<Item = &'a Literal> {
        self.equal.iter().filter(move |(name, _)| name == column).map(|(_, literal)| literal)
    }
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

    #[test]
    fn two_equalities_of_one_column_both_hold() {
        let equal = vec![("a".to_owned(), Literal::Int(1)), ("a".to_owned(), Literal::Int(2))];
        let request = Request { columns: vec![], equal, order: None, limit: None };
        assert!(!request.passes_int("a", 1));
        assert!(request.passes_int("b", 1));
    }
}
