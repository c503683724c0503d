//! The system table as a trait: a name, columns, and rows that are made when it is read. `provider` turns one into what the
//! engine scans.

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;

use crate::column::Column;
use crate::request::Request;
use crate::scope::Scope;

/// Batches as they are needed: a LIMIT stops the work.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A table whose rows are made when it is read. Shared by all sessions, so it holds no state of its own.
pub trait SystemTable: std::fmt::Debug + Send + Sync {
    /// Lower case, as it is stored; lookups ignore case.
    fn name(&self) -> &'static str;

    /// One sentence, shown by `\d+` and SHOW TABLE STATUS.
    fn comment(&self) -> &'static str;

    fn columns(&self) -> &[Column];

    /// Columns whose equality with a literal `scan` applies itself, exactly.
    fn pushed(&self) -> &'static [&'static str] {
        &[]
    }

    /// Number columns by which `scan` can order its rows itself, so that `ORDER BY .. LIMIT 10` makes ten rows of text.
    fn ordered(&self) -> &'static [&'static str] {
        &[]
    }

    /// The query behind a view; a view is never scanned itself.
    fn definition(&self) -> Option<&'static str> {
        None
    }

    /// Of a view that makes one row of several: columns by which these are chosen, and which name only one of them.
    fn members(&self) -> &[&'static str] {
        &[]
    }

    /// Whether its rows are this server's business only, or the same on all: other servers are not asked.
    fn is_local(&self) -> bool {
        false
    }

    /// What a function's table was called with: with its name it makes the same table on another server.
    fn arguments(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether this column's values may take long: rows are then made where nobody waits for the thread.
    fn is_slow(&self, _: &Column) -> bool {
        false
    }

    /// Rows that pass every pushed filter of `request`, with the projected columns only.
    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches>;
}
