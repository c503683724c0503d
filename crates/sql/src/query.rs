//! From the text of a query to a plan that may run: parse, check, rewrite, plan, check again. Only the session calls it.

mod constants;
mod guard;
mod headings;
mod literal;
mod mysql;
mod old_columns;
mod parse;
mod postgres;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::Statement;

pub(crate) use constants::Constants;
pub(crate) use literal::parameter_count;
#[cfg(test)]
pub(crate) use old_columns::RENAMED;

use crate::text::tokens::TokenStream;
use headings::Headings;
use heapql_server::diagnostics::Diagnostics;
use heapql_server::dialect::Dialect;
use heapql_server::{Failure, missing_table};
use heapql_tables::unknown_table;

/// A plan, and how its columns are called.
pub(crate) struct Query {
    pub(crate) plan: LogicalPlan,
    /// The plan's, with the names that the client expects.
    pub(crate) schema: SchemaRef,
}

/// The replacement of each parameter.
pub(crate) enum Values<'a> {
    Bound(&'a [ScalarValue]),
    /// Only the types are known.
    Typed(&'a [DataType]),
}

/// A parsed statement that may only read.
pub(crate) struct Tree {
    statement: Statement,
    headings: Headings,
}

impl Tree {
    pub(crate) fn parse(
        lexed: &TokenStream<'_>,
        dialect: Dialect,
        constants: &Constants<'_>,
        diagnostics: &Diagnostics,
    ) -> Result<Tree, Failure> {
        let mut statement = parse::statement(lexed, dialect)?;
        guard::check_statement(&statement)?;
        let headings = Headings::of(&statement, lexed, dialect);
        old_columns::rewrite(&mut statement, lexed, diagnostics);
        match dialect {
            Dialect::MySql => mysql::rewrite(&mut statement),
            Dialect::Postgres if parse::asks_for_catalog(lexed) => postgres::rewrite(&mut statement),
            Dialect::Postgres => {}
        }
        constants.put_into(&mut statement);
        Ok(Tree { statement, headings })
    }

    /// The types that the engine can tell from how the parameters are used.
    pub(crate) async fn inferred_types(&self, state: &SessionState, count: usize) -> Vec<Option<DataType>> {
        let mut types = vec![None; count];
        let planned = plan(state, self.statement.clone()).await;
        let known = planned.ok().and_then(|plan| plan.get_parameter_types().ok()).unwrap_or_default();
        for (name, known) in known {
            let index = name.trim_start_matches('$').parse::<usize>().unwrap_or_default();
            if let Some(place) = index.checked_sub(1).and_then(|index| types.get_mut(index)) {
                *place = known.map(literal::plain);
            }
        }
        for index in literal::row_counts(&self.statement) {
            if let Some(place) = types.get_mut(index) {
                *place = Some(DataType::Int64);
            }
        }
        types
    }

    pub(crate) async fn plan(mut self, state: &SessionState, values: &Values<'_>) -> Result<Query, Failure> {
        literal::bind(&mut self.statement, values)?;
        let plan = plan(state, self.statement).await?;
        guard::check_plan(&plan)?;
        let schema = self.headings.apply(plan.schema().inner());
        Ok(Query { plan, schema })
    }
}

async fn plan(state: &SessionState, mut statement: Statement) -> Result<LogicalPlan, Failure> {
    // Only now: parameters that are not bound yet differ in their names, and their values need not.
    headings::make_unique(&mut statement);
    let planned = state.statement_to_plan(EngineStatement::Statement(Box::new(statement))).await;
    planned.map_err(|error| match missing_table(&error) {
        Some(name) => unknown_table(&name),
        None => error.into(),
    })
}
