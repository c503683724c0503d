//! `heapql.snapshots`: the moments that the history has, marks among them, and how much was live at each.

use heapql_registry::SnapshotTotals;

use crate::column::Unit;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};

/// The columns of this table.
type Column = TypedColumn<SnapshotTotals>;

#[derive(Debug)]
pub(crate) struct Snapshots;

impl TypedTable for Snapshots {
    type Row = SnapshotTotals;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        Column::time("snapshot_at", "when it was taken, UTC", |row| row.snapshot.at),
        Column::text_or_null("mark", "varchar(64)", "its name, if mark('name') took it", |row| {
            row.snapshot.mark.as_deref()
        }),
        Column::int("process_count", "processes whose heap it holds", |row| row.processes as i64),
        Column::int("callsite_count", "callsites with something live then", |row| row.callsites as i64),
        Column::int("est_count", "estimate of all objects that were live", |row| row.est_count.round() as i64)
            .unit(Unit::Objects),
        Column::int("est_bytes", "estimate of their requested bytes", |row| row.est_bytes.round() as i64)
            .unit(Unit::Bytes),
    ];

    fn name(&self) -> &'static str {
        "snapshots"
    }

    fn comment(&self) -> &'static str {
        "moments that the history has, with the names of marks"
    }

    /// The sums are over all tenants, hence for the sys tenant only.
    fn rows(&self, reading: &Reading<SnapshotTotals>) -> Chunks<SnapshotTotals> {
        Box::new(std::iter::once(
            reading.visible().whole_server().map_or_else(Vec::new, |server| server.history().totals()),
        ))
    }
}
