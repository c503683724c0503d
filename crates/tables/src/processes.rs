//! `heapql.processes`: every recorded process, alive, dead or unreadable, and what its ledger holds.

use std::sync::Arc;

use heapql_registry::{Source, SourceState};

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;

use crate::batch::{batches, ints, ints_or_null, same_int, same_text, texts, texts_or_null, times, written};
use crate::{Batches, Column, Request, Scope, SystemTable, sources};
use heapql_server::parameters;

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::int("pid", "process id"),
    Column::int("parent_pid", "process id of the parent"),
    Column::text("command", "varchar(4096)", "command line"),
    Column::text("program", "varchar(4096)", "path of the main executable"),
    Column::int("tenant_id", "tenant of the process's samples unless a scope says otherwise"),
    Column::text("state", "varchar(16)", "alive, dead or unreadable"),
    Column::text("exit", "varchar(64)", "how it ended, if the server started it").or_null(),
    Column::text("why", "varchar(4096)", "why it is unreadable, or why nothing of it is recorded").or_null(),
    Column::time("started_at", "when recording began, UTC"),
    Column::int("min_interval", "_min_malloc_sample_interval in force in the process").or_null(),
    Column::int("max_interval", "_max_malloc_sample_interval in force in the process").or_null(),
    Column::int("ledger_bytes", "size of its ledger"),
    Column::int("callsite_count", "distinct stacks with a live sample").or_null(),
    Column::int("sampled_live_count", "live sampled objects").or_null(),
    Column::int("sampled_live_bytes", "requested bytes of those objects").or_null(),
    Column::int("loss_count", "allocations that were due for a sample and not recorded"),
];

/// Columns that cost a read of the ledger's callsites.
const COUNTED: [&str; 5] = ["state", "why", "callsite_count", "sampled_live_count", "sampled_live_bytes"];

#[derive(Debug)]
pub(crate) struct Processes;

struct Row {
    source: Arc<Source>,
    state: &'static str,
    exit: Option<String>,
    why: Option<String>,
    live: Option<Live>,
}

#[derive(Clone, Copy)]
struct Live {
    callsites: i64,
    count: i64,
    bytes: i64,
}

impl SystemTable for Processes {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn comment(&self) -> &'static str {
        "recorded processes and the state of their ledgers"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn pushed(&self) -> &'static [&'static str] {
        &["pid"]
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let counted = request.columns.iter().any(|&index| COUNTED.contains(&COLUMNS[index].name));
        let visible = |source: &Arc<Source>| {
            scope.tenant.sees(source.tenant_id()) && request.passes_int("pid", i64::from(source.pid()))
        };
        let sources = scope.server.registry().sources();
        let exit = |source: &Source| scope.server.exit_of(source.pid(), source.state());
        let row = |source: Arc<Source>| Row { exit: exit(&source), ..row(source, counted) };
        let rows = sources.into_iter().filter(visible).map(row).collect();
        let server = Arc::clone(&scope.server);
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "svr_ip" => same_text(rows.len(), server.svr_ip()),
            "svr_port" => same_int(rows.len(), i64::from(server.svr_port())),
            _ => cells(column, rows),
        }))
    }
}

fn row(source: Arc<Source>, counted: bool) -> Row {
    let state = match source.state() {
        SourceState::Alive => "alive",
        SourceState::Dead => "dead",
        SourceState::Unreadable(why) => {
            return Row { source, state: "unreadable", exit: None, why: Some(why), live: None };
        }
    };
    if !counted {
        return Row { source, state, exit: None, why: None, live: None };
    }
    match sources::callsites(&source) {
        Ok(callsites) => {
            let mut live = Live { callsites: 0, count: 0, bytes: 0 };
            for callsite in callsites.iter().filter(|callsite| callsite.counters.live_count > 0) {
                live.callsites += 1;
                live.count = live.count.saturating_add(callsite.counters.live_count);
                live.bytes = live.bytes.saturating_add(callsite.counters.live_bytes);
            }
            let why = if live.callsites == 0 { why_nothing(&source) } else { None };
            Row { source, state, exit: None, why, live: Some(live) }
        }
        Err(why) => Row { source, state: "unreadable", exit: None, why: Some(why), live: None },
    }
}

/// Of a process that has no live sample.
fn why_nothing(source: &Source) -> Option<String> {
    let intervals = source.intervals()?;
    if intervals.is_zero() {
        return Some(format!("zero mode: {} is {}, and nothing is sampled", parameters::MIN, intervals.min));
    }
    Some(match source.unrecorded() {
        0 => format!("no live object is a sample; one in {}..{} allocations is", intervals.min, intervals.max),
        lost => format!("{lost} samples that were due could not be recorded; self_usage says why"),
    })
}

fn cells(column: &str, rows: &[Row]) -> ArrayRef {
    let intervals = |row: &Row| row.source.intervals();
    match column {
        "pid" => ints(rows, |row| i64::from(row.source.pid())),
        "parent_pid" => ints(rows, |row| i64::from(row.source.parent_pid())),
        "command" => written(rows, |row, text| text.push_str(&row.source.command())),
        "program" => texts(rows, |row| row.source.program()),
        "tenant_id" => ints(rows, |row| row.source.tenant_id()),
        "state" => texts(rows, |row| row.state),
        "exit" => texts_or_null(rows, |row| row.exit.as_deref()),
        "why" => texts_or_null(rows, |row| row.why.as_deref()),
        "started_at" => times(rows, |row| row.source.started_at()),
        "min_interval" => ints_or_null(rows, |row| intervals(row).map(|both| i64::from(both.min))),
        "max_interval" => ints_or_null(rows, |row| intervals(row).map(|both| i64::from(both.max))),
        "ledger_bytes" => ints(rows, |row| signed(row.source.ledger_bytes())),
        "callsite_count" => ints_or_null(rows, |row| row.live.map(|live| live.callsites)),
        "sampled_live_count" => ints_or_null(rows, |row| row.live.map(|live| live.count)),
        "sampled_live_bytes" => ints_or_null(rows, |row| row.live.map(|live| live.bytes)),
        _ => ints(rows, |row| signed(row.source.unrecorded())),
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
