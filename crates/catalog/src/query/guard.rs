//! Only reading gets through: an allow-list of parsed statements, and the same again over the plan, which is what runs.

use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor};

use crate::failure::{Failure, FailureKind};

/// A query, or EXPLAIN of one.
pub(super) fn check_statement(statement: &Statement) -> Result<(), Failure> {
    match statement {
        Statement::Query(_) => match statement.visit(&mut OnlyReads) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(what) => Err(Failure::read_only(what)),
        },
        Statement::Explain { statement, .. } => check_statement(statement),
        other => Err(refused(other)),
    }
}

fn refused(statement: &Statement) -> Failure {
    let text = statement.to_string();
    let verb = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    Failure::new(FailureKind::Unsupported, format!("{verb} is not supported"))
        .hint("queries, SHOW, DESC, EXPLAIN, SET and ALTER SYSTEM SET are")
}

struct OnlyReads;

impl Visitor for OnlyReads {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<&'static str> {
        match query.body.as_ref() {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                ControlFlow::Break("writing inside a query")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<&'static str> {
        if select.into.is_some() { ControlFlow::Break("SELECT .. INTO") } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<&'static str> {
        match factor {
            TableFactor::Table { name, .. } if is_path(name) => ControlFlow::Break("reading files of the host"),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// A name in string quotes, or one that could only be a file's.
fn is_path(name: &ObjectName) -> bool {
    name.0.iter().filter_map(|part| part.as_ident()).any(|ident| {
        let scheme = ident.value.contains("://") || ident.value.contains('/');
        ident.quote_style == Some('\'') || (ident.quote_style.is_some() && scheme)
    })
}

/// The plan decides what runs, so the plan is what is checked last.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<(), Failure> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan).map_err(|_| Failure::read_only("a statement that changes something"))?;
    let mut allowed = true;
    plan.apply_with_subqueries(|node| {
        allowed &= reads(node);
        Ok(TreeNodeRecursion::Continue)
    })?;
    if allowed { Ok(()) } else { Err(Failure::read_only("a statement that changes something")) }
}

fn reads(node: &LogicalPlan) -> bool {
    !matches!(
        node,
        LogicalPlan::Ddl(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::DescribeTable(_)
    )
}
