//! The system table as a trait: a name, columns, and rows that are made when it is read. `provider` turns one into what the
//! engine scans.

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;

use crate::column::Column;
use crate::request::ScanRequest;
use crate::scope::TableScope;

/// Batches as they are needed: a LIMIT stops the work.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A table whose rows are made when it is read. Shared by all sessions, so it holds no state of its own.
pub trait SystemTable: std::fmt::Debug + Send + Sync {
    /// Lower case, as it is stored; lookups ignore case.
    fn name(&self) -> &'static str;

    /// One sentence, shown by `\d+` and SHOW TABLE STATUS.
    fn comment(&self) -> &'static str;

    /// The facts of its columns, in their order.
    fn columns(&self) -> Vec<Column>;

    /// Columns whose equality with a literal `scan` applies itself, exactly.
    fn pushed(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Number columns by which `scan` can order its rows itself, so that `ORDER BY .. LIMIT 10` makes ten rows of text.
    fn ordered(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The query behind a view; a view is never scanned itself.
    fn definition(&self) -> Option<&str> {
        None
    }

    /// For aggregating views: columns that a WHERE may filter before aggregation; the row shows one member's value.
    fn members(&self) -> &[&'static str] {
        &[]
    }

    /// Whether its rows are about this server alone, or the same on all: other servers are not asked.
    fn is_local(&self) -> bool {
        false
    }

    /// The arguments of a table function; with the name they make the same table on another server.
    fn arguments(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the values of the column with this index may take long: rows are then made where nobody waits for the thread.
    fn is_slow(&self, _: usize) -> bool {
        false
    }

    /// Rows that pass every pushed filter of `request`, with the projected columns only.
    fn scan(&self, scope: &TableScope, request: &ScanRequest) -> Result<Batches>;
}
