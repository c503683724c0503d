//! `heapql.snapshots`: the moments that the history has, marks among them, and how much was live at each.

use datafusion::error::Result;
use heapql_registry::Snapshot;

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

struct Row {
    snapshot: Snapshot,
    sums: Sums,
}

#[derive(Clone, Default)]
struct Sums {
    processes: i64,
    callsites: i64,
    count: f64,
    bytes: f64,
}

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
        let rows = if scope.tenant == Tenant::Sys { rows(scope) } else { Vec::new() };
        let (svr_ip, svr_port) = (scope.server.svr_ip().to_owned(), i64::from(scope.server.svr_port()));
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "svr_ip" => same_text(rows.len(), &svr_ip),
            "svr_port" => same_int(rows.len(), svr_port),
            "snapshot_at" => times(rows, |row| row.snapshot.at),
            "mark" => texts_or_null(rows, |row| row.snapshot.mark.as_deref()),
            "process_count" => ints(rows, |row| row.sums.processes),
            "callsite_count" => ints(rows, |row| row.sums.callsites),
            "est_count" => ints(rows, |row| row.sums.count.round() as i64),
            _ => ints(rows, |row| row.sums.bytes.round() as i64),
        }))
    }
}

fn rows(scope: &Scope) -> Vec<Row> {
    let (tracks, snapshots) = scope.server.history().tracks();
    let places = Places::new(&snapshots);
    let mut sums = vec![Sums::default(); snapshots.len()];
    for track in tracks {
        let first = snapshots.partition_point(|snapshot| snapshot.at < track.since);
        sums[first..].iter_mut().for_each(|sums| sums.processes += 1);
        for (_, points) in track.series() {
            let starts = points.iter().map(|point| places.of(point.snapshot));
            let ends = starts.clone().skip(1).chain([snapshots.len()]);
            for ((point, start), end) in points.iter().zip(starts).zip(ends) {
                for sums in sums.get_mut(start..end.max(start)).unwrap_or_default() {
                    sums.callsites += i64::from(point.live_count > 0);
                    sums.count += f64::from(point.est_count);
                    sums.bytes += point.est_bytes;
                }
            }
        }
    }
    snapshots.into_iter().zip(sums).map(|(snapshot, sums)| Row { snapshot, sums }).collect()
}

/// Where each snapshot stands, by its number: millions of points ask.
struct Places {
    first: u32,
    places: Vec<usize>,
}

impl Places {
    fn new(snapshots: &[Snapshot]) -> Places {
        let first = snapshots.first().map_or(0, |snapshot| snapshot.number);
        let last = snapshots.last().map_or(0, |snapshot| snapshot.number);
        let mut places = vec![snapshots.len(); (last - first) as usize + 1];
        for (place, snapshot) in snapshots.iter().enumerate() {
            places[(snapshot.number - first) as usize] = place;
        }
        Places { first, places }
    }

    fn of(&self, number: u32) -> usize {
        let place = number.checked_sub(self.first).and_then(|at| self.places.get(at as usize));
        place.copied().unwrap_or(self.places.len())
    }
}
