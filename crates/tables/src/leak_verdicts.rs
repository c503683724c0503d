//! `heapql.leak_verdicts`: every callsite with what its history says of it, suspects first. The view `leak_suspects` is made of
//! these, one row for the callsites of one leak.
//!
//! The statistics are `heapql_registry::verdict`'s; here the history becomes its input.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use heapql_registry::verdict::{self, Judgement, ProcessPoint, Verdict};
use heapql_registry::{Callsite, Point, ProcessKey, Snapshot, Source, SourceState, Track, as_of};

use crate::batch::{batches, bools, floats, ints, ints_or_null, same_int, same_text, texts, times};
use crate::stack_id;
use crate::stack_id::StackIds;
use crate::{Batches, Column, Request, Scope, SystemTable, sources};
use heapql_server::failure::Warning;

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::bool("is_suspect", "leak_suspects is made of these"),
    Column::text("verdict", "varchar(16)", "growing, saturating, steady, new (too little history) or shrinking"),
    Column::text("app_frame", "varchar(4096)", "the innermost frame of the user's own code, with file and line"),
    Column::text("why", "varchar(4096)", "the reason for the verdict, with the numbers"),
    Column::int("est_live_bytes", "estimate of the live requested bytes"),
    Column::int("est_live_bytes_error", "standard error of est_live_bytes"),
    Column::float("est_growth_per_minute", "estimate of how many bytes a minute it grows by"),
    Column::float("est_growth_error", "standard error of est_growth_per_minute"),
    Column::float("est_count_growth_per_minute", "the same in objects"),
    Column::time("first_seen_at", "when the first object was sampled here, UTC"),
    Column::int("oldest_age_seconds", "some live sample is at least this old").or_null(),
    Column::int("tenant_id", "tenant of the samples"),
    Column::int("ctx_id", "memory context"),
    Column::text("label", "varchar(16)", "module label"),
    Column::int("pid", "process that allocated"),
    Column::time("process_started_at", "when recording of the process began, UTC"),
    Column::text("state", "varchar(16)", "alive or dead"),
    Column::text("command", "varchar(4096)", "command line of the process"),
    Column::int(
        "callsite_id",
        "number of the callsite inside its process's ledger; callsites and frames have its stack",
    ),
    Column::text("stack_id", stack_id::MYSQL_TYPE, "the same for the same stack in all processes and on all servers"),
];

#[derive(Debug)]
pub(crate) struct LeakVerdicts;

struct Row {
    source: Arc<Source>,
    callsite: Callsite,
    judgement: Judgement,
    live: Point,
    app_frame: String,
    stack_id: String,
}

impl SystemTable for LeakVerdicts {
    fn name(&self) -> &'static str {
        "leak_verdicts"
    }

    fn comment(&self) -> &'static str {
        "every callsite with what its history says of it"
    }

    fn columns(&self) -> &[Column] {
        COLUMNS
    }

    fn pushed(&self) -> &'static [&'static str] {
        &["pid", "callsite_id", "label", "is_suspect"]
    }

    fn is_slow(&self, _: &Column) -> bool {
        true
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let (scope, request) = (scope.clone(), request.clone());
        // Only when the first row is wanted: it takes a while.
        Ok(Box::new(std::iter::once(()).flat_map(move |()| {
            let rows = rows(&scope, &request);
            let server = Arc::clone(&scope.server);
            batches(COLUMNS, &request, rows, move |column, rows| match column {
                "svr_ip" => same_text(rows.len(), server.svr_ip()),
                "svr_port" => same_int(rows.len(), i64::from(server.svr_port())),
                _ => cells(column, rows),
            })
        })))
    }
}

fn rows(scope: &Scope, request: &Request) -> Vec<Row> {
    let (tracks, snapshots) = scope.server.history().tracks();
    let tracks: HashMap<ProcessKey, Arc<Track>> = tracks.into_iter().map(|track| (track.process, track)).collect();
    let is_asked_for = request.wanted("pid").next().is_some();
    let (mut rows, mut counts, mut oldest) = (Vec::new(), HashMap::new(), Duration::ZERO);
    for (source, callsites) in sources::readable_where(scope, |_| true) {
        // The server's own history grows until it is full; who wants to know asks for its pid.
        let is_wanted = request.passes_int("pid", source.pid().into()) && (is_asked_for || !source.is_own());
        let Some(track) = tracks.get(&ProcessKey::of(&source)).filter(|_| is_wanted) else {
            continue;
        };
        let history = Watched::new(&source, track, &snapshots);
        oldest = oldest.max(history.seconds());
        for callsite in callsites {
            let passes = scope.tenant.sees(callsite.tenant_id)
                && request.passes_int("callsite_id", callsite.callsite_id.cast_signed())
                && request.passes_text("label", &callsite.label);
            let Some(points) = track.points(callsite.callsite_id).filter(|_| passes) else {
                continue;
            };
            let judgement = history.judge(points);
            *counts.entry(judgement.verdict.name()).or_insert(0_usize) += 1;
            if request.passes_bool("is_suspect", judgement.is_suspect) {
                let (source, app_frame, stack_id) = (Arc::clone(&source), String::new(), String::new());
                let live = points.last().copied().unwrap_or_else(|| Point::of(0, &callsite.counters));
                rows.push(Row { source, callsite, judgement, live, app_frame, stack_id });
            }
        }
    }
    if rows.is_empty() {
        scope.diagnostics.push(Warning::note(nothing(&counts, oldest, snapshots.len())));
    }
    rows.sort_by(|one, other| order(other).partial_cmp(&order(one)).unwrap_or(std::cmp::Ordering::Equal));
    // As many as are asked for are named.
    rows.truncate(request.limit.unwrap_or(usize::MAX));
    let (mut namers, mut stack_ids) = (scope.server.namers(), StackIds::new(&scope.server));
    let is_asked = |name: &str| request.columns.iter().any(|&index| COLUMNS[index].name == name);
    let (named, identified) = (is_asked("app_frame"), is_asked("stack_id"));
    for row in &mut rows {
        if named {
            let namer = namers.of(&row.source);
            row.app_frame = namer.app_frame_text(&row.callsite.stack, row.callsite.module_generation);
        }
        if identified {
            row.stack_id = stack_ids.of(&row.source, &row.callsite);
        }
    }
    rows
}

/// Suspects of living processes first, then of dead ones, then what is no suspect.
fn order(row: &Row) -> (bool, bool, f64, f64) {
    let Judgement { is_suspect, rank_key, .. } = row.judgement;
    (is_suspect, row.source.state() == SourceState::Alive, if is_suspect { rank_key } else { 0.0 }, row.live.est_bytes)
}

/// Why there is no row.
fn nothing(counts: &HashMap<&'static str, usize>, oldest: Duration, snapshots: usize) -> String {
    if snapshots == 0 {
        return "no suspects: there is no history; a running server (heapql run, heapql serve) keeps one, and \
                live_by_callsite has what is live, of ended processes too"
            .to_owned();
    }
    if counts.is_empty() {
        return "no suspects: no process with a live sample has been looked at; SELECT * FROM processes lists what there is"
            .to_owned();
    }
    let mut found: Vec<_> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    found.sort();
    format!(
        "no suspects among {} callsites ({}); the longest history is {} s, and a verdict takes about 100 s of \
         it; live_by_callsite has what is live, of ended processes too",
        counts.values().sum::<usize>(),
        found.join(", "),
        oldest.as_secs()
    )
}

/// The history of one process as the statistics take it.
struct Watched<'a> {
    now: f64,
    has_ended: bool,
    /// Those of the process, while it lived.
    snapshots: Vec<(&'a Snapshot, f64)>,
    totals: Vec<ProcessPoint>,
}

impl<'a> Watched<'a> {
    fn new(source: &Source, track: &Track, snapshots: &'a [Snapshot]) -> Watched<'a> {
        let since = |at: SystemTime| at.duration_since(source.started_at()).unwrap_or_default().as_secs_f64();
        let until = track.ended_at.unwrap_or_else(SystemTime::now);
        let lived = |snapshot: &&Snapshot| snapshot.at >= track.since && snapshot.at <= until;
        let snapshots: Vec<_> = snapshots.iter().filter(lived).map(|snapshot| (snapshot, since(snapshot.at))).collect();
        let total = |(snapshot, at): &(&Snapshot, f64)| {
            let point = as_of(track.whole(), snapshot.number)?;
            Some(ProcessPoint { at: *at, total_count: point.est_total_count })
        };
        let totals = snapshots.iter().filter_map(total).collect();
        let has_ended = source.state() == SourceState::Dead;
        Watched { now: since(until), has_ended, snapshots, totals }
    }

    fn seconds(&self) -> Duration {
        let first = self.snapshots.first().map_or(self.now, |(_, at)| *at);
        Duration::try_from_secs_f64(self.now - first).unwrap_or_default()
    }

    /// Between two points nothing changed.
    fn judge(&self, points: &[Point]) -> Judgement {
        let at = |point: &Point| {
            let found = self.snapshots.binary_search_by_key(&point.snapshot, |(snapshot, _)| snapshot.number);
            found.map_or_else(|after| self.snapshots.get(after).map(|(_, at)| *at), |here| Some(self.snapshots[here].1))
        };
        let points: Vec<_> = points.iter().filter_map(|point| Some(input(point, at(point)?))).collect();
        let mut judgement = verdict::judge(&points, &self.totals, self.now);
        if judgement.verdict == Verdict::New && self.has_ended {
            // One that was dead when the server came has no history at all, and none of them will have more.
            judgement.why = format!(
                "the process has ended, after {} s of history: too little for a verdict; live_by_callsite has what it held",
                self.seconds().as_secs()
            );
        }
        judgement
    }
}

fn input(point: &Point, at: f64) -> verdict::Point {
    verdict::Point {
        at,
        live_count: point.est_count.into(),
        live_bytes: point.est_bytes,
        live_count_variance: point.count_variance.into(),
        live_bytes_variance: point.bytes_variance.into(),
        total_count: point.est_total_count,
        samples_live: point.live_count.into(),
        samples_total: point.total_count.into(),
    }
}

fn cells(column: &str, rows: &[Row]) -> ArrayRef {
    let rate = |value: f64| (value * 10.0).round() / 10.0;
    match column {
        "is_suspect" => bools(rows, |row| row.judgement.is_suspect),
        "verdict" => texts(rows, |row| row.judgement.verdict.name()),
        "app_frame" => texts(rows, |row| &row.app_frame),
        "why" => texts(rows, |row| &row.judgement.why),
        "est_live_bytes" => ints(rows, |row| row.callsite.counters.est_bytes.value.round() as i64),
        "est_live_bytes_error" => ints(rows, |row| row.callsite.counters.est_bytes.error().round() as i64),
        "est_growth_per_minute" => floats(rows, |row| rate(row.judgement.growth.per_minute)),
        "est_growth_error" => floats(rows, |row| rate(row.judgement.growth.error)),
        "est_count_growth_per_minute" => floats(rows, |row| rate(row.judgement.growth_count.per_minute)),
        "first_seen_at" => times(rows, |row| row.callsite.first_seen_at),
        "oldest_age_seconds" => ints_or_null(rows, |row| row.judgement.oldest_age.map(|age| age as i64)),
        "tenant_id" => ints(rows, |row| row.callsite.tenant_id),
        "ctx_id" => ints(rows, |row| row.callsite.ctx_id),
        "label" => texts(rows, |row| &row.callsite.label),
        "pid" => ints(rows, |row| row.source.pid().into()),
        "process_started_at" => times(rows, |row| row.source.started_at()),
        "state" => texts(rows, |row| sources::state_name(&row.source)),
        "command" => texts(rows, |row| row.source.command()),
        "callsite_id" => ints(rows, |row| row.callsite.callsite_id.cast_signed()),
        _ => texts(rows, |row| &row.stack_id),
    }
}
