//! `heapql.history`: what each callsite counted at each snapshot. One row for each of both, also where nothing changed, so
//! that sums over a snapshot are right.

use std::sync::Arc;

use datafusion::error::Result;
use heapql_registry::{Point, Snapshot, Track, as_of};

use crate::batch::{batches, ints, same_int, same_text, times};
use crate::{Batches, Column, Request, Scope, SystemTable};
use heapql_server::tenant::Tenant;

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::time("snapshot_at", "when the snapshot was taken, UTC"),
    Column::int("pid", "process that allocated"),
    Column::int("callsite_id", "number of the callsite inside its process's ledger"),
    Column::int("sampled_live_count", "sampled objects that were live"),
    Column::int("sampled_total_count", "objects that had been sampled here until then"),
    Column::int("est_count", "estimate of all objects that were live, sampled or not"),
    Column::int("est_count_error", "standard error of est_count"),
    Column::int("est_bytes", "estimate of their requested bytes"),
    Column::int("est_bytes_error", "standard error of est_bytes"),
];

/// Rows are made for so many callsites at a time.
const CALLSITES_AT_ONCE: usize = 64;

#[derive(Debug)]
pub(crate) struct History;

struct Row {
    snapshot: u32,
    pid: i64,
    callsite_id: u64,
    point: Point,
}

impl SystemTable for History {
    fn name(&self) -> &'static str {
        "history"
    }

    fn comment(&self) -> &'static str {
        "what each callsite counted at each snapshot"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn pushed(&self) -> &'static [&'static str] {
        &["pid", "callsite_id"]
    }

    /// Tenants' callsites are not told apart here, hence for the sys tenant only.
    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        if scope.tenant != Tenant::Sys {
            return Ok(Box::new(std::iter::empty()));
        }
        let (mut tracks, snapshots) = scope.server.history().tracks();
        tracks.retain(|track| request.passes_int("pid", track.process.pid.into()));
        let snapshots: Arc<[Snapshot]> = snapshots.into();
        let (svr_ip, svr_port) = (Arc::<str>::from(scope.server.svr_ip()), i64::from(scope.server.svr_port()));
        let pieces = tracks.into_iter().flat_map({
            let request = request.clone();
            move |track| pieces(&track, &request).into_iter().map(move |ids| (Arc::clone(&track), ids))
        });
        let request = request.clone();
        Ok(Box::new(pieces.flat_map(move |(track, ids)| {
            let rows = rows(&track, &ids, &snapshots);
            let (snapshots, svr_ip) = (Arc::clone(&snapshots), Arc::clone(&svr_ip));
            batches(COLUMNS, &request, rows, move |column, rows| match column {
                "svr_ip" => same_text(rows.len(), &svr_ip),
                "svr_port" => same_int(rows.len(), svr_port),
                "snapshot_at" => times(rows, |row| at(&snapshots, row.snapshot)),
                "pid" => ints(rows, |row| row.pid),
                "callsite_id" => ints(rows, |row| row.callsite_id.cast_signed()),
                "sampled_live_count" => ints(rows, |row| row.point.live_count.into()),
                "sampled_total_count" => ints(rows, |row| row.point.total_count.into()),
                "est_count" => ints(rows, |row| row.point.est_count.round() as i64),
                "est_count_error" => ints(rows, |row| row.point.count_variance.sqrt().round() as i64),
                "est_bytes" => ints(rows, |row| row.point.est_bytes.round() as i64),
                _ => ints(rows, |row| row.point.bytes_variance.sqrt().round() as i64),
            })
        })))
    }
}

fn at(snapshots: &[Snapshot], number: u32) -> std::time::SystemTime {
    let found = snapshots.binary_search_by_key(&number, |snapshot| snapshot.number);
    found.map_or(std::time::UNIX_EPOCH, |at| snapshots[at].at)
}

fn pieces(track: &Track, request: &Request) -> Vec<Vec<u64>> {
    let mut ids: Vec<u64> = track.series().map(|(id, _)| id).collect();
    ids.retain(|id| request.passes_int("callsite_id", id.cast_signed()));
    ids.sort_unstable();
    ids.chunks(CALLSITES_AT_ONCE).map(<[u64]>::to_vec).collect()
}

fn rows(track: &Track, ids: &[u64], snapshots: &[Snapshot]) -> Vec<Row> {
    let mut rows = Vec::new();
    let pid = i64::from(track.process.pid);
    for (callsite_id, points) in ids.iter().filter_map(|id| Some((*id, track.points(*id)?))) {
        let row = |snapshot: &Snapshot| {
            let point = *as_of(points, snapshot.number)?;
            Some(Row { snapshot: snapshot.number, pid, callsite_id, point })
        };
        rows.extend(snapshots.iter().filter_map(row));
    }
    rows
}
