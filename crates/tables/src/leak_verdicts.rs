//! `heapql.leak_verdicts`: every callsite with what its history says of it, suspects first. The view `leak_suspects` is made of
//! these, one row for the callsites of one leak.
//!
//! The registry judges (`History::verdicts`); here its verdicts become rows, with names.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use heapql_registry::{CallsiteVerdict, Verdicts};

use crate::batch::{batches, bools, floats, ints, ints_or_null, same_int, same_text, texts, times, written};
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
    verdict: CallsiteVerdict,
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
    let is_asked_for = request.wanted("pid").next().is_some();
    let mut processes = sources::readable_where(scope, |_| true);
    // The server's own history grows until it is full; a query that wants it names its pid.
    processes
        .retain(|(source, _)| request.passes_int("pid", source.pid().into()) && (is_asked_for || !source.is_own()));
    for (_, callsites) in &mut processes {
        callsites.retain(|callsite| {
            scope.tenant.sees(callsite.tenant_id)
                && request.passes_int("callsite_id", callsite.callsite_id.cast_signed())
                && request.passes_text("label", &callsite.label)
        });
    }
    let is_wanted = |is_suspect| request.passes_bool("is_suspect", is_suspect);
    let mut verdicts = scope.server.history().verdicts(processes, |judgement| is_wanted(judgement.is_suspect));
    if verdicts.callsites.is_empty() {
        scope.diagnostics.push(Warning::note(nothing(&verdicts)));
    }
    // Only as many as are asked for are named.
    verdicts.callsites.truncate(request.limit.unwrap_or(usize::MAX));
    let (mut namers, mut stack_ids) = (scope.server.namers(), StackIds::new(&scope.server));
    let is_asked = |name: &str| request.columns.iter().any(|&index| COLUMNS[index].name == name);
    let (named, identified) = (is_asked("app_frame"), is_asked("stack_id"));
    let row = |verdict: CallsiteVerdict| {
        let (mut app_frame, mut stack_id) = (String::new(), String::new());
        if named {
            let namer = namers.of(&verdict.source);
            app_frame = namer.app_frame_text(&verdict.callsite.stack, verdict.callsite.module_generation);
        }
        if identified {
            stack_id = stack_ids.of(&verdict.source, &verdict.callsite);
        }
        Row { verdict, app_frame, stack_id }
    };
    verdicts.callsites.into_iter().map(row).collect()
}

/// The reason for which there is no row.
fn nothing(verdicts: &Verdicts) -> String {
    if verdicts.snapshots == 0 {
        return "no suspects: there is no history; a running server (heapql run, heapql serve) keeps one, and \
                live_by_callsite has what is live, of ended processes too"
            .to_owned();
    }
    if verdicts.counts.is_empty() {
        return "no suspects: no process with a live sample has been looked at; SELECT * FROM processes lists what there is"
            .to_owned();
    }
    let mut found: Vec<_> =
        verdicts.counts.iter().map(|(verdict, count)| format!("{count} {}", verdict.name())).collect();
    found.sort();
    format!(
        "no suspects among {} callsites ({}); the longest history is {} s, and a verdict takes about 100 s of \
         it; live_by_callsite has what is live, of ended processes too",
        verdicts.counts.values().sum::<usize>(),
        found.join(", "),
        verdicts.longest.as_secs()
    )
}

fn cells(column: &str, rows: &[Row]) -> ArrayRef {
    let rate = |value: f64| (value * 10.0).round() / 10.0;
    match column {
        "is_suspect" => bools(rows, |row| row.verdict.judgement.is_suspect),
        "verdict" => texts(rows, |row| row.verdict.judgement.verdict.name()),
        "app_frame" => texts(rows, |row| &row.app_frame),
        "why" => texts(rows, |row| &row.verdict.judgement.why),
        "est_live_bytes" => ints(rows, |row| row.verdict.callsite.counters.est_bytes.value.round() as i64),
        "est_live_bytes_error" => ints(rows, |row| row.verdict.callsite.counters.est_bytes.error().round() as i64),
        "est_growth_per_minute" => floats(rows, |row| rate(row.verdict.judgement.growth.per_minute)),
        "est_growth_error" => floats(rows, |row| rate(row.verdict.judgement.growth.error)),
        "est_count_growth_per_minute" => floats(rows, |row| rate(row.verdict.judgement.growth_count.per_minute)),
        "first_seen_at" => times(rows, |row| row.verdict.callsite.first_seen_at),
        "oldest_age_seconds" => ints_or_null(rows, |row| row.verdict.judgement.oldest_age.map(|age| age as i64)),
        "tenant_id" => ints(rows, |row| row.verdict.callsite.tenant_id),
        "ctx_id" => ints(rows, |row| row.verdict.callsite.ctx_id),
        "label" => texts(rows, |row| &row.verdict.callsite.label),
        "pid" => ints(rows, |row| row.verdict.source.pid().into()),
        "process_started_at" => times(rows, |row| row.verdict.source.started_at()),
        "state" => texts(rows, |row| sources::state_name(&row.verdict.source)),
        "command" => written(rows, |row, text| text.push_str(&row.verdict.source.command())),
        "callsite_id" => ints(rows, |row| row.verdict.callsite.callsite_id.cast_signed()),
        _ => texts(rows, |row| &row.stack_id),
    }
}
