//! What psql asks of the catalog and the engine cannot plan, bent as little as possible. Only queries that ask for the
//! catalog come here: in anybody else's the wrong answer would be worse than an error.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArguments, Statement, Value, VisitMut, VisitorMut};

use super::constants::name;

pub(super) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Rewrite);
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && is_array_of_query(function)
        {
            // `\du` asks for the roles a role is in; there are none.
            *expr = Expr::value(Value::SingleQuotedString("{}".to_owned()));
        }
        ControlFlow::Continue(())
    }
}

fn is_array_of_query(function: &Function) -> bool {
    matches!(function.args, FunctionArguments::Subquery(_)) && name(function).as_deref() == Some("array")
}
