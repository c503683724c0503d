//! Tables of typed rows: a table gives rows and one line a column, and the one scan below does the rest for all of them. It
//! applies the conditions that were pushed down, orders, limits, fills in the server's address, and makes record batches.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::array::RecordBatchOptions;
use datafusion::error::Result;
use heapql_server::Warning;
use heapql_server::symbols::Namers;

use crate::column::{Column, schema_of};
use crate::request::{Literal, Order, ScanRequest};
use crate::scope::TableScope;
use crate::stack_id::StackIds;
use crate::table::{Batches, SystemTable};
use crate::typed_column::{ServerAddress, TypedColumn};
use crate::visible::Visible;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;
/// Rows that are completed before the first of them is given.
const COMPLETED_AT_ONCE: usize = 256;

/// Rows as they are needed: a LIMIT stops the work after a chunk.
pub(crate) type Chunks<R> = Box<dyn Iterator<Item = Vec<R>> + Send>;

/// Completes rows that will be shown.
pub(crate) type Completion<R> = Box<dyn FnMut(&mut [R]) + Send>;

/// The completion of each row by itself.
pub(crate) fn each<R>(mut complete: impl FnMut(&mut R) + Send + 'static) -> Completion<R> {
    Box::new(move |rows| rows.iter_mut().for_each(&mut complete))
}

/// A table whose rows have a type.
pub(crate) trait TypedTable: fmt::Debug + Send + Sync + 'static {
    /// One row before any text is made.
    type Row: Send + 'static;

    /// The columns, in their order.
    const COLUMNS: &'static [TypedColumn<Self::Row>];

    /// Whether all columns are slow, because the rows themselves are.
    const IS_SLOW: bool = false;

    /// At most so many rows are made before the first is given.
    const ROWS_AT_ONCE: usize = BATCH_ROWS;

    /// See [`SystemTable::name`].
    fn name(&self) -> &'static str;

    /// See [`SystemTable::comment`].
    fn comment(&self) -> &'static str;

    /// See [`SystemTable::is_local`].
    fn is_local(&self) -> bool {
        false
    }

    /// See [`SystemTable::arguments`].
    fn arguments(&self) -> Vec<String> {
        Vec::new()
    }

    /// All rows that the tenant may see. Conditions are applied to them afterwards; a table may leave rows out earlier.
    fn rows(&self, reading: &Reading<Self::Row>) -> Chunks<Self::Row>;

    /// Fills in costly values, for the rows that pass only. None if no such column was asked for.
    fn completion(&self, _: &Reading<Self::Row>) -> Option<Completion<Self::Row>> {
        None
    }
}

/// One scan as its table sees it: what was asked for, and what the tenant may see.
pub(crate) struct Reading<R: 'static> {
    scope: TableScope,
    request: ScanRequest,
    columns: &'static [TypedColumn<R>],
}

impl<R> Clone for Reading<R> {
    fn clone(&self) -> Reading<R> {
        Reading { scope: self.scope.clone(), request: self.request.clone(), columns: self.columns }
    }
}

impl<R> Reading<R> {
    /// The tenant's view of this server.
    pub(crate) fn visible(&self) -> Visible {
        self.scope.visible()
    }

    /// The engine's name of what holds the databases.
    pub(crate) fn catalog(&self) -> &str {
        &self.scope.catalog
    }

    /// The namers of this scan.
    pub(crate) fn namers(&self) -> Namers {
        self.scope.server.namers()
    }

    /// The ids of this scan's stacks.
    pub(crate) fn stack_ids(&self) -> StackIds {
        StackIds::new(&self.scope.server)
    }

    /// Tells the client something although the statement succeeds.
    pub(crate) fn warn(&self, warning: Warning) {
        self.scope.diagnostics.push(warning);
    }

    /// Whether a column's values are asked for.
    pub(crate) fn asks(&self, column: &TypedColumn<R>) -> bool {
        self.request.columns.iter().any(|&index| self.columns[index].facts.name == column.facts.name)
    }

    /// Whether a condition on the column was pushed down.
    pub(crate) fn has_condition(&self, column: &TypedColumn<R>) -> bool {
        self.literals(column).next().is_some()
    }

    /// Whether rows with this number in a column can pass: for leaving out what need not be read.
    pub(crate) fn may_pass(&self, column: &TypedColumn<R>, value: i64) -> bool {
        self.literals(column).all(|literal| *literal == Literal::Int(value))
    }

    /// As [`Reading::may_pass`], for a truth.
    pub(crate) fn may_be(&self, column: &TypedColumn<R>, value: bool) -> bool {
        self.literals(column).all(|literal| *literal == Literal::Bool(value))
    }

    /// As [`Reading::may_pass`], for a text.
    pub(crate) fn may_read(&self, column: &TypedColumn<R>, value: &str) -> bool {
        self.literals(column).all(|literal| matches!(literal, Literal::Text(text) if text == value))
    }

    /// Whether a row passes all conditions that were pushed down.
    pub(crate) fn passes(&self, row: &R) -> bool {
        self.request.equal.iter().all(|(name, literal)| {
            let column = self.columns.iter().find(|column| column.facts.name == name);
            column.is_some_and(|column| column.equals(row, literal))
        })
    }

    fn literals<'a>(&'a self, column: &'a TypedColumn<R>) -> impl Iterator<Item = &'a Literal> {
        self.request.equal.iter().filter(|(name, _)| name == column.facts.name).map(|(_, literal)| literal)
    }

    /// Puts rows into the wanted order and drops those beyond the limit; sorts no more than it must.
    fn arrange(&self, rows: &mut Vec<R>, Order { column, descending }: &Order) {
        let Some(column) = self.columns.iter().find(|known| known.facts.name == column) else {
            return;
        };
        let key = |row: &R| {
            let number = i128::from(column.number(row));
            if *descending { -number } else { number }
        };
        let limit = self.request.limit.unwrap_or(usize::MAX);
        if limit < rows.len() {
            rows.select_nth_unstable_by_key(limit, key);
            rows.truncate(limit);
        }
        rows.sort_unstable_by_key(key);
    }
}

impl<T: TypedTable> SystemTable for T {
    fn name(&self) -> &'static str {
        TypedTable::name(self)
    }

    fn comment(&self) -> &'static str {
        TypedTable::comment(self)
    }

    fn columns(&self) -> Vec<Column> {
        T::COLUMNS.iter().map(|column| column.facts).collect()
    }

    fn pushed(&self) -> Vec<&'static str> {
        T::COLUMNS.iter().filter(|column| column.is_pushed).map(|column| column.facts.name).collect()
    }

    fn ordered(&self) -> Vec<&'static str> {
        T::COLUMNS.iter().filter(|column| column.is_ordered).map(|column| column.facts.name).collect()
    }

    fn is_local(&self) -> bool {
        TypedTable::is_local(self)
    }

    fn arguments(&self) -> Vec<String> {
        TypedTable::arguments(self)
    }

    fn is_slow(&self, index: usize) -> bool {
        T::IS_SLOW || T::COLUMNS[index].is_slow
    }

    fn scan(&self, scope: &TableScope, request: &ScanRequest) -> Result<Batches> {
        let reading = Reading { scope: scope.clone(), request: request.clone(), columns: T::COLUMNS };
        let mut completion = self.completion(&reading);
        let filter = reading.clone();
        let chunks = self.rows(&reading);
        let mut rows: Box<dyn Iterator<Item = T::Row> + Send> =
            Box::new(chunks.flatten().filter(move |row| filter.passes(row)));
        if let Some(order) = &request.order {
            let mut all: Vec<T::Row> = rows.collect();
            reading.arrange(&mut all, order);
            rows = Box::new(all.into_iter());
        }
        let chosen: Vec<&TypedColumn<T::Row>> = request.columns.iter().map(|&index| &T::COLUMNS[index]).collect();
        let schema = schema_of(&chosen.iter().map(|column| column.facts).collect::<Vec<_>>());
        let server = ServerAddress { ip: scope.server.svr_ip().into(), port: scope.server.svr_port().into() };
        let at_once = if completion.is_some() { COMPLETED_AT_ONCE } else { T::ROWS_AT_ONCE };
        let mut left = request.limit.unwrap_or(usize::MAX);
        Ok(Box::new(std::iter::from_fn(move || {
            let mut chunk: Vec<T::Row> = rows.by_ref().take(at_once.min(left)).collect();
            left -= chunk.len();
            if chunk.is_empty() {
                return None;
            }
            if let Some(complete) = &mut completion {
                complete(&mut chunk);
            }
            let arrays = chosen.iter().map(|column| column.array(&chunk, &server)).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(chunk.len()));
            Some(RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options).map_err(Into::into))
        })))
    }
}
