//! Rewrites catalog queries of psql that the engine cannot plan, as little as possible. Only queries of the catalog come here:
//! in any other query a wrong answer would be worse than an error.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArguments, Statement, Value, VisitMut, VisitorMut};

use super::constants::arguments;
use super::constants::name;

pub(super) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Rewrite);
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // `\du` asks for the roles a role is in; there are none.
            Expr::Function(function) if is_array_of_query(function) => *expr = text(NOTHING),
            // `\dT` asks whether a type is the row type of a table; the catalog has none.
            Expr::Subquery(query) if query.to_string().contains("relkind = 'c'") => {
                *expr = Expr::value(Value::Boolean(false));
            }
            // Options and privileges that no relation here has.
            Expr::Function(function) if is_text_of_nothing(function) => *expr = text(""),
            Expr::CompoundIdentifier(parts)
                if parts.last().is_some_and(|last| MISSING.contains(&last.value.as_str())) =>
            {
                *expr = Expr::value(Value::Null);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// An array with nothing in it.
const NOTHING: &str = "{}";

/// Columns of pg_class and others that the catalog does not have.
const MISSING: [&str; 3] = ["reloptions", "relacl", "tableoid"];

fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_owned()))
}

/// `array_to_string` of privileges or options, which are stored as texts and always empty.
fn is_text_of_nothing(function: &Function) -> bool {
    name(function).as_deref() == Some("array_to_string") && arguments(function).is_some_and(|all| is_nothing(all[0]))
}

fn is_nothing(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Null => true,
            Value::SingleQuotedString(text) => text == NOTHING,
            _ => false,
        },
        Expr::CompoundIdentifier(parts) => {
            let kinds = ["acl", "options", "config"];
            parts.last().is_some_and(|last| kinds.iter().any(|kind| last.value.ends_with(kind)))
        }
        Expr::Identifier(name) => name.value.ends_with("acl") || name.value.ends_with("config"),
        Expr::BinaryOp { left, .. } => is_nothing(left),
        _ => false,
    }
}

fn is_array_of_query(function: &Function) -> bool {
    matches!(function.args, FunctionArguments::Subquery(_)) && name(function).as_deref() == Some("array")
}
