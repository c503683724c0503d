//! MySQL's own expressions in the engine's words: `if`, `ifnull`, `group_concat`, `<=>`, REGEXP, `/`, and `FROM dual`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query, Select, Statement,
    TableFactor, Value, VisitMut, VisitorMut,
};

use super::constants::arguments;
use super::constants::name;

pub(super) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Rewrite);
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        // There is nothing to lock: reading for update is reading.
        query.locks.clear();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        select.select_modifiers = None;
        select.optimizer_hints.clear();
        if let [table] = select.from.as_slice()
            && table.joins.is_empty()
            && is_dual(&table.relation)
        {
            select.from.clear();
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let owned = std::mem::replace(expr, Expr::value(Value::Null));
        *expr = rewritten(owned);
        ControlFlow::Continue(())
    }
}

fn is_dual(factor: &TableFactor) -> bool {
    let TableFactor::Table { name, args: None, .. } = factor else {
        return false;
    };
    matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case("dual")))
}

fn rewritten(expr: Expr) -> Expr {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Spaceship, right } => Expr::IsNotDistinctFrom(left, right),
        Expr::BinaryOp { left, op: BinaryOperator::Divide, right } => divided(left, right),
        Expr::BinaryOp { left, op: BinaryOperator::MyIntegerDivide, right } => {
            let whole = Expr::BinaryOp { left, op: BinaryOperator::Divide, right: or_null(*right) };
            cast(Expr::Nested(Box::new(whole)), DataType::BigInt(None))
        }
        Expr::RLike { negated, expr, pattern, .. } => {
            let op = if negated { BinaryOperator::PGRegexNotIMatch } else { BinaryOperator::PGRegexIMatch };
            Expr::BinaryOp { left: expr, op, right: pattern }
        }
        Expr::Function(function) => call(function),
        other => other,
    }
}

/// MySQL's `/` never truncates, and by zero it is NULL.
fn divided(left: Box<Expr>, right: Box<Expr>) -> Expr {
    let left = Box::new(cast(*left, DataType::Double(ExactNumberInfo::None)));
    Expr::BinaryOp { left, op: BinaryOperator::Divide, right: or_null(*right) }
}

fn or_null(divisor: Expr) -> Box<Expr> {
    Box::new(function("nullif", vec![divisor, Expr::value(Value::Number("0".to_owned(), false))]))
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn call(mut call: Function) -> Expr {
    match (name(&call).as_deref(), arguments(&call)) {
        (Some("if"), Some(arguments)) if arguments.len() == 3 => {
            let [condition, result, other] = [0, 1, 2].map(|index| arguments[index].clone());
            Expr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: None,
                conditions: vec![CaseWhen { condition, result }],
                else_result: Some(Box::new(other)),
            }
        }
        (Some("ifnull"), Some(_)) => {
            call.name = named("coalesce");
            Expr::Function(call)
        }
        (Some("unix_timestamp"), Some(arguments)) if arguments.is_empty() => {
            let seconds = function("to_unixtime", vec![function("now", Vec::new())]);
            cast(seconds, DataType::BigInt(None))
        }
        (Some("group_concat"), Some(arguments)) if !arguments.is_empty() => {
            let joined = match arguments.as_slice() {
                [one] => (*one).clone(),
                several => function("concat", several.iter().map(|expr| (*expr).clone()).collect()),
            };
            group_concat(call, joined)
        }
        _ => Expr::Function(call),
    }
}

/// `group_concat(x ORDER BY y SEPARATOR s)` is `string_agg(x, s ORDER BY y)`.
fn group_concat(mut call: Function, joined: Expr) -> Expr {
    call.name = named("string_agg");
    if let FunctionArguments::List(list) = &mut call.args {
        let mut separator = Expr::value(Value::SingleQuotedString(",".to_owned()));
        list.clauses.retain(|clause| match clause {
            FunctionArgumentClause::Separator(value) => {
                separator = Expr::Value(value.clone());
                false
            }
            _ => true,
        });
        list.args = [cast(joined, DataType::Text), separator].into_iter().map(argument).collect();
    }
    Expr::Function(call)
}

fn argument(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

fn named(name: &str) -> ObjectName {
    ObjectName::from(vec![Ident::new(name)])
}

fn function(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: named(name),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
