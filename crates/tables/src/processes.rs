//! `heapql.processes`: every recorded process, alive, dead or unreadable, and what its ledger holds.

use std::sync::Arc;

use heapql_registry::{Source, SourceState};
use heapql_server::parameters;

use crate::column::Unit;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};
use crate::visible;

/// The columns of this table.
type Column = TypedColumn<Row>;

#[derive(Debug)]
pub(crate) struct Processes;

pub(crate) struct Row {
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

const PID: Column = Column::int("pid", "process id", |row| row.source.pid().into()).pushed();
const STATE: Column = Column::text("state", "varchar(16)", "alive, dead or unreadable", |row| row.state);
const WHY: Column =
    Column::text_or_null("why", "varchar(4096)", "why it is unreadable, or why nothing of it is recorded", |row| {
        row.why.as_deref()
    });
const CALLSITE_COUNT: Column = Column::int_or_null("callsite_count", "distinct stacks with a live sample", |row| {
    row.live.map(|live| live.callsites)
});
const SAMPLED_LIVE_COUNT: Column =
    Column::int_or_null("sampled_live_count", "live sampled objects", |row| row.live.map(|live| live.count))
        .unit(Unit::Objects);
const SAMPLED_LIVE_BYTES: Column =
    Column::int_or_null("sampled_live_bytes", "requested bytes of those objects", |row| {
        row.live.map(|live| live.bytes)
    })
    .unit(Unit::Bytes);

/// Columns that cost a read of the ledger's callsites.
const COUNTED: [&Column; 5] = [&STATE, &WHY, &CALLSITE_COUNT, &SAMPLED_LIVE_COUNT, &SAMPLED_LIVE_BYTES];

impl TypedTable for Processes {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        PID,
        Column::int("parent_pid", "process id of the parent", |row| row.source.parent_pid().into()),
        Column::written("command", "varchar(4096)", "command line", |row, text| text.push_str(&row.source.command())),
        Column::text("program", "varchar(4096)", "path of the main executable", |row| row.source.program()),
        Column::int("tenant_id", "tenant of the process's samples unless a scope says otherwise", |row| {
            row.source.tenant_id()
        }),
        STATE,
        Column::text_or_null("exit", "varchar(64)", "how it ended, if the server started it", |row| {
            row.exit.as_deref()
        }),
        WHY,
        Column::time("process_started_at", "when recording of the process began, UTC", |row| row.source.started_at()),
        Column::int_or_null("min_interval", "_min_malloc_sample_interval in force in the process", |row| {
            row.source.intervals().map(|both| both.min.into())
        }),
        Column::int_or_null("max_interval", "_max_malloc_sample_interval in force in the process", |row| {
            row.source.intervals().map(|both| both.max.into())
        }),
        Column::int("ledger_bytes", "size of its ledger", |row| signed(row.source.ledger_bytes())).unit(Unit::Bytes),
        CALLSITE_COUNT,
        SAMPLED_LIVE_COUNT,
        SAMPLED_LIVE_BYTES,
        Column::int("loss_count", "allocations that were due for a sample and not recorded", |row| {
            signed(row.source.unrecorded())
        }),
    ];

    fn name(&self) -> &'static str {
        "processes"
    }

    fn comment(&self) -> &'static str {
        "recorded processes and the state of their ledgers"
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        let is_counted = COUNTED.into_iter().any(|column| reading.asks(column));
        let visible = reading.visible();
        let mut sources = visible.sources();
        sources.retain(|source| reading.may_pass(&PID, source.pid().into()));
        let row = |source: Arc<Source>| {
            let exit = visible.server().exit_of(source.pid(), source.state());
            Row { exit, ..row(source, is_counted) }
        };
        Box::new(std::iter::once(sources.into_iter().map(row).collect()))
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
    match visible::live_of(&source) {
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

/// Why a process has no live sample.
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

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
