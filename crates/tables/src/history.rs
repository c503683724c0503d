//! `heapql.history`: what each callsite counted at each snapshot. One row for each of both, also where nothing changed, so
//! that sums over a snapshot are right.

use std::sync::Arc;
use std::time::SystemTime;

use heapql_registry::{Point, Snapshot, Track, as_of};

use crate::column::Unit;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};

/// The columns of this table.
type Column = TypedColumn<Row>;

/// Rows are made for so many callsites at a time.
const CALLSITES_AT_ONCE: usize = 64;

#[derive(Debug)]
pub(crate) struct History;

pub(crate) struct Row {
    at: SystemTime,
    pid: i64,
    callsite_id: u64,
    point: Point,
}

const PID: Column = Column::int("pid", "process that allocated", |row| row.pid).pushed();
const CALLSITE_ID: Column = Column::int("callsite_id", "number of the callsite inside its process's ledger", |row| {
    row.callsite_id.cast_signed()
})
.pushed();

impl TypedTable for History {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        Column::time("snapshot_at", "when the snapshot was taken, UTC", |row| row.at),
        PID,
        CALLSITE_ID,
        Column::int("sampled_live_count", "sampled objects that were live", |row| row.point.live_count.into())
            .unit(Unit::Objects),
        Column::int("sampled_total_count", "objects that had been sampled here until then", |row| {
            row.point.total_count.into()
        })
        .unit(Unit::Objects),
        Column::int("est_count", "estimate of all objects that were live, sampled or not", |row| {
            row.point.est_count.round() as i64
        })
        .unit(Unit::Objects),
        Column::int("est_count_error", "standard error of est_count", |row| {
            row.point.count_variance.sqrt().round() as i64
        })
        .unit(Unit::Objects),
        Column::int("est_bytes", "estimate of their requested bytes", |row| row.point.est_bytes.round() as i64)
            .unit(Unit::Bytes),
        Column::int("est_bytes_error", "standard error of est_bytes", |row| {
            row.point.bytes_variance.sqrt().round() as i64
        })
        .unit(Unit::Bytes),
    ];

    fn name(&self) -> &'static str {
        "history"
    }

    fn comment(&self) -> &'static str {
        "what each callsite counted at each snapshot"
    }

    /// Tenants' callsites are not told apart here, hence for the sys tenant only.
    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        let visible = reading.visible();
        let Some(server) = visible.whole_server() else {
            return Box::new(std::iter::empty());
        };
        let (mut tracks, snapshots) = server.history().tracks();
        tracks.retain(|track| reading.may_pass(&PID, track.process.pid.into()));
        let reading = reading.clone();
        let parts = tracks.into_iter().flat_map(move |track| {
            let ids = callsite_ids(&track, &reading);
            ids.into_iter().map(move |ids| (Arc::clone(&track), ids))
        });
        Box::new(parts.map(move |(track, ids)| rows(&track, &ids, &snapshots)))
    }
}

fn callsite_ids(track: &Track, reading: &Reading<Row>) -> Vec<Vec<u64>> {
    let mut ids: Vec<u64> = track.series().map(|(id, _)| id).collect();
    ids.retain(|id| reading.may_pass(&CALLSITE_ID, id.cast_signed()));
    ids.sort_unstable();
    ids.chunks(CALLSITES_AT_ONCE).map(<[u64]>::to_vec).collect()
}

fn rows(track: &Track, ids: &[u64], snapshots: &[Snapshot]) -> Vec<Row> {
    let mut rows = Vec::new();
    let pid = i64::from(track.process.pid);
    for (callsite_id, points) in ids.iter().filter_map(|id| Some((*id, track.points(*id)?))) {
        let row = |snapshot: &Snapshot| {
            let point = *as_of(points, snapshot.number)?;
            Some(Row { at: snapshot.at, pid, callsite_id, point })
        };
        rows.extend(snapshots.iter().filter_map(row));
    }
    rows
}
