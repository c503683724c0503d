//! Only reading gets through: an allow-list of parsed statements, and the same again over the plan, which is what runs.

use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor};

use heapql_server::failure::{Failure, FailureKind};

/// A query, or EXPLAIN of one.
pub(super) fn check_statement(statement: &Statement) -> Result<(), Failure> {
    match statement {
        Statement::Query(_) => match statement.visit(&mut OnlyReads) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(Refusal::Writes(what)) => Err(Failure::read_only(what)),
            ControlFlow::Break(Refusal::Tables(found)) => {
                let message = format!("the query joins {found} tables; at most {MOST_TABLES} are accepted");
                Err(Failure::new(FailureKind::Unsupported, message))
            }
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

/// Tables of one FROM. Planning walks a join by recursion.
const MOST_TABLES: usize = 64;

struct OnlyReads;

enum Refusal {
    Writes(&'static str),
    Tables(usize),
}

impl Visitor for OnlyReads {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        match query.body.as_ref() {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                ControlFlow::Break(Refusal::Writes("writing inside a query"))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refusal> {
        let tables = select.from.iter().map(|table| 1 + table.joins.len()).sum();
        if tables > MOST_TABLES {
            return ControlFlow::Break(Refusal::Tables(tables));
        }
        if select.into.is_some() {
            return ControlFlow::Break(Refusal::Writes("SELECT .. INTO"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refusal> {
        match factor {
            TableFactor::Table { name, .. } if is_path(name) => {
                ControlFlow::Break(Refusal::Writes("reading files of the host"))
            }
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
