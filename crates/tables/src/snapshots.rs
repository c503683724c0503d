//! `heapql.snapshots`: the moments that the history has, marks among them, and how much was live at each.

use datafusion::error::Result;
use heapql_registry::SnapshotTotals;

use crate::batch::{batches, ints, same_int, same_text, texts_or_null, times};
use crate::{Batches, Column, Request, Scope, SystemTable};
use heapql_server::tenant::Tenant;

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::time("snapshot_at", "when it was taken, UTC"),
    Column::text("mark", "varchar(64)", "its name, if mark('name') took it").or_null(),
    Column::int("process_count", "processes whose heap it holds"),
    Column::int("callsite_count", "callsites with something live then"),
    Column::int("est_count", "estimate of all objects that were live"),
    Column::int("est_bytes", "estimate of their requested bytes"),
];

#[derive(Debug)]
pub(crate) struct Snapshots;

impl SystemTable for Snapshots {
    fn name(&self) -> &'static str {
        "snapshots"
    }

    fn comment(&self) -> &'static str {
        "moments that the history has, with the names of marks"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    /// Over all tenants, hence for the sys tenant only.
    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let is_sys = scope.tenant == Tenant::Sys;
        let rows: Vec<SnapshotTotals> = if is_sys { scope.server.history().totals() } else { Vec::new() };
        let (svr_ip, svr_port) = (scope.server.svr_ip().to_owned(), i64::from(scope.server.svr_port()));
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "svr_ip" => same_text(rows.len(), &svr_ip),
            "svr_port" => same_int(rows.len(), svr_port),
            "snapshot_at" => times(rows, |row| row.snapshot.at),
            "mark" => texts_or_null(rows, |row| row.snapshot.mark.as_deref()),
            "process_count" => ints(rows, |row| row.processes as i64),
            "callsite_count" => ints(rows, |row| row.callsites as i64),
            "est_count" => ints(rows, |row| row.est_count.round() as i64),
            _ => ints(rows, |row| row.est_bytes.round() as i64),
        }))
    }
}
