//! Only reading gets through: an allow-list of parsed statements, and the same again over the plan, which is what runs.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor,
};

use heapql_server::failure::{Failure, FailureKind};

/// A query, or EXPLAIN of one.
pub(super) fn check_statement(statement: &Statement) -> Result<(), Failure> {
    match statement {
        Statement::Query(_) => {
            let visited = match statement.visit(&mut OnlyReads) {
                ControlFlow::Continue(()) => statement.visit(&mut PlanSize::default()),
                refused => refused,
            };
            match visited {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(Refusal::Writes(what)) => Err(Failure::read_only(what)),
                ControlFlow::Break(Refusal::TooLarge(message)) => Err(Failure::new(FailureKind::Unsupported, message)),
            }
        }
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
    TooLarge(String),
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
        let tables: usize = select.from.iter().map(|table| 1 + table.joins.len()).sum();
        if tables > MOST_TABLES {
            let message = format!("the query joins {tables} tables; at most {MOST_TABLES} are accepted");
            return ControlFlow::Break(Refusal::TooLarge(message));
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

/// Maximum number of tables of a plan, once every use of a WITH query has become a plan of its own.
const MAX_TABLES_IN_ALL: u64 = 1000;
/// Maximum depth of subqueries inside expressions. Planning visits each level twice, so every one doubles its time.
const MAX_SUBQUERIES: usize = 12;

/// Bounds what planning would grow without bound from a short text.
#[derive(Default)]
struct PlanSize {
    /// Subqueries in expressions around the present place.
    subqueries: usize,
    /// The tables of each query around the present place, so far.
    tables: Vec<u64>,
    /// The name of each WITH query that is still to be visited, by its address in the tree.
    names: HashMap<*const Query, String>,
    /// The tables of each WITH query that has been visited. Of equal names the larger counts.
    weights: HashMap<String, u64>,
}

impl PlanSize {
    fn add(&mut self, tables: u64) -> ControlFlow<Refusal> {
        let Some(here) = self.tables.last_mut() else {
            return ControlFlow::Continue(());
        };
        *here = here.saturating_add(tables);
        if *here <= MAX_TABLES_IN_ALL {
            return ControlFlow::Continue(());
        }
        let message = format!("the query reads {here} tables or more; at most {MAX_TABLES_IN_ALL} are accepted");
        ControlFlow::Break(Refusal::TooLarge(message))
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. })
}

impl Visitor for PlanSize {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        self.tables.push(0);
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.names.insert(std::ptr::from_ref(&*cte.query), cte.alias.name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        let tables = self.tables.pop().unwrap_or_default();
        match self.names.remove(&std::ptr::from_ref(query)) {
            Some(name) => {
                let weight = self.weights.entry(name).or_default();
                *weight = tables.max(*weight).max(1);
                ControlFlow::Continue(())
            }
            None => self.add(tables),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Refusal> {
        let weight = match relation.0.as_slice() {
            [part] => part.as_ident().and_then(|ident| self.weights.get(&ident.value.to_lowercase()).copied()),
            _ => None,
        };
        self.add(weight.unwrap_or(1))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        self.subqueries += usize::from(is_subquery(expr));
        if self.subqueries <= MAX_SUBQUERIES {
            return ControlFlow::Continue(());
        }
        let message = format!("subqueries in expressions nest deeper than {MAX_SUBQUERIES}");
        ControlFlow::Break(Refusal::TooLarge(message))
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        self.subqueries -= usize::from(is_subquery(expr));
        ControlFlow::Continue(())
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
