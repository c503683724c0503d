//! Columns that had another name in the version before: a statement that uses the old name means the new one, and is told so.
//! The next version drops this file.
//!
//! Names are resolved as SQL resolves them: an alias, a subquery or a table that really has such a column comes first. What is
//! visible where is `old_columns::scope`'s; the headings are those of the text, so they keep the old name.

mod scope;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectNamePart, Query, Select, SelectItem, Statement, VisitMut,
    VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::text::tokens::TokenStream;
use heapql_server::diagnostics::Diagnostics;
use heapql_server::failure::Warning;
use scope::Scopes;

/// A column under its two names, and the tables that have it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Renamed {
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
    pub(crate) tables: &'static [&'static str],
}

const HEAPS: &[&str] = &["leak_suspects", "leak_verdicts", "process_memory"];

/// Every renamed column; CHANGELOG.md has the same list. An old name has one new name in all tables.
pub(crate) const RENAMED: &[Renamed] = &[
    Renamed { old: "est_live_bytes", new: "est_bytes", tables: HEAPS },
    Renamed { old: "est_live_bytes_error", new: "est_bytes_error", tables: HEAPS },
    Renamed { old: "self_bytes", new: "est_bytes", tables: &["live_by_function"] },
    Renamed { old: "self_count", new: "est_count", tables: &["live_by_function"] },
    Renamed { old: "total_bytes", new: "est_cum_bytes", tables: &["live_by_function"] },
    Renamed { old: "total_count", new: "est_cum_count", tables: &["live_by_function"] },
    Renamed { old: "flat_bytes", new: "est_bytes", tables: &["top"] },
    Renamed { old: "flat_percent", new: "est_percent", tables: &["top"] },
    Renamed { old: "cum_bytes", new: "est_cum_bytes", tables: &["top"] },
    Renamed { old: "cum_percent", new: "est_cum_percent", tables: &["top"] },
    Renamed { old: "started_at", new: "process_started_at", tables: &["live_by_process", "processes"] },
    Renamed { old: "est_bytes_per_minute", new: "est_growth_per_minute", tables: &["growth"] },
    Renamed { old: "sources", new: "process_count", tables: &["servers"] },
];

/// The column whose old name this is, whatever table it is of.
fn renamed(name: &Ident) -> Option<&'static Renamed> {
    RENAMED.iter().find(|renamed| match name.quote_style {
        None => renamed.old.eq_ignore_ascii_case(&name.value),
        Some(_) => renamed.old == name.value,
    })
}

/// Puts new names for old ones, each with a note.
pub(super) fn rewrite(statement: &mut Statement, lexed: &TokenStream<'_>, diagnostics: &Diagnostics) {
    let is_old = |token: &Token| match token {
        Token::Word(word) => RENAMED.iter().any(|renamed| renamed.old.eq_ignore_ascii_case(&word.value)),
        _ => false,
    };
    if lexed.tokens.iter().any(|token| is_old(&token.token)) {
        let _ = statement.visit(&mut Rewrite { scopes: Scopes::default(), diagnostics });
    }
}

struct Rewrite<'a> {
    scopes: Scopes,
    diagnostics: &'a Diagnostics,
}

impl VisitorMut for Rewrite<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.scopes.enter_query(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.scopes.leave_query();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.scopes.enter_select(select);
        for item in &mut select.projection {
            self.keep_name(item);
        }
        for join in select.from.iter_mut().flat_map(|table| &mut table.joins) {
            self.rename_joined(&mut join.join_operator);
        }
        self.scopes.set_aside(select.having.take());
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // In HAVING an alias hides a column; in the clauses before it a column hides an alias.
        let having = self.scopes.enter_having(select);
        select.having = having.map(|mut having| {
            let _ = having.visit(self);
            having
        });
        self.scopes.leave_select();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(renamed) = self.scopes.meant_by(expr) {
            match expr {
                Expr::Identifier(name) => self.rename(name, renamed),
                Expr::CompoundIdentifier(parts) => {
                    parts.last_mut().into_iter().for_each(|name| self.rename(name, renamed))
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

impl Rewrite<'_> {
    fn rename(&self, name: &mut Ident, renamed: &Renamed) {
        let Renamed { old, new, .. } = renamed;
        renamed.new.clone_into(&mut name.value);
        self.diagnostics.push(Warning::note(format!(
            "column '{old}' is called '{new}' now; the next version does not know the old name"
        )));
    }

    /// The queries around this one still call the column by its old name.
    fn keep_name(&self, item: &mut SelectItem) {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Some(renamed) = self.scopes.meant_by(expr)
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(renamed.old) };
        }
    }

    fn rename_joined(&self, operator: &mut JoinOperator) {
        let (JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)) = operator
        else {
            return;
        };
        let JoinConstraint::Using(columns) = constraint else {
            return;
        };
        for column in columns {
            if let [ObjectNamePart::Identifier(name)] = column.0.as_mut_slice()
                && let Some(renamed) = self.scopes.meant(name, None)
            {
                self.rename(name, renamed);
            }
        }
    }
}
