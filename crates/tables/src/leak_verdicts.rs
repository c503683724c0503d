//! `heapql.leak_verdicts`: every callsite with what its history says of it, suspects first. The view `leak_suspects` is made of
//! these, one row for the callsites of one leak. The registry judges (`History::verdicts`).

use std::time::SystemTime;

use heapql_registry::{CallsiteVerdict, Judgement, LeakLevel, ProcessKey, Source, Verdicts};
use heapql_server::Warning;

use crate::column::Unit;
use crate::stack_id;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Completion, Reading, TypedTable, each};
use crate::visible::state_name;

/// The columns of this table.
type Column = TypedColumn<Row>;

#[derive(Debug)]
pub(crate) struct LeakVerdicts;

pub(crate) struct Row {
    verdict: CallsiteVerdict,
    app_frame: String,
    stack_id: String,
    leak_id: String,
    /// Since when it is suspected, and when its growth was last seen.
    standing: Option<(SystemTime, SystemTime)>,
}

const PID: Column = Column::int("pid", "process that allocated", |row| row.verdict.source.pid().into()).pushed();
const CALLSITE_ID: Column = Column::int(
    "callsite_id",
    "number of the callsite inside its process's ledger; callsites and frames have its stack",
    |row| row.verdict.callsite.callsite_id.cast_signed(),
)
.pushed();
const LABEL: Column = Column::text("label", "varchar(16)", "module label", |row| &row.verdict.callsite.label).pushed();
const IS_SUSPECT: Column =
    Column::bool("is_suspect", "leak_suspects is made of these", |row| row.verdict.judgement.is_suspect).pushed();
const APP_FRAME: Column = Column::text(
    "app_frame",
    "varchar(4096)",
    "the innermost frame of the user's own code, with file and line",
    |row| &row.app_frame,
);
const STACK_ID: Column = Column::text("stack_id", stack_id::MYSQL_TYPE, stack_id::COMMENT, |row| &row.stack_id);

const LEAK_ID: Column = Column::text(
    "leak_id",
    stack_id::MYSQL_TYPE,
    "the same for callsites that are one leak; stack_id if it is one callsite",
    |row| &row.leak_id,
);

impl TypedTable for LeakVerdicts {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        IS_SUSPECT,
        Column::text(
            "verdict",
            "varchar(16)",
            "growing, saturating, steady, watching (too young, or too few samples, to tell) or shrinking",
            |row| row.verdict.judgement.verdict.name(),
        ),
        APP_FRAME,
        Column::text("why", "varchar(4096)", "the reason for the verdict, with the numbers", |row| {
            &row.verdict.judgement.why
        }),
        Column::int("est_bytes", "estimate of the live requested bytes", |row| {
            row.verdict.callsite.counters.est_bytes.value.round() as i64
        })
        .unit(Unit::Bytes),
        Column::int("est_bytes_error", "standard error of est_bytes", |row| {
            row.verdict.callsite.counters.est_bytes.error().round() as i64
        })
        .unit(Unit::Bytes),
        Column::float("est_growth_per_minute", "estimate of how many bytes a minute it grows by", |row| {
            tenths(row.verdict.judgement.growth.per_minute)
        })
        .unit(Unit::BytesPerMinute),
        Column::float("est_growth_error", "standard error of est_growth_per_minute", |row| {
            tenths(row.verdict.judgement.growth.error)
        })
        .unit(Unit::BytesPerMinute),
        Column::float("est_count_growth_per_minute", "the same in objects", |row| {
            tenths(row.verdict.judgement.growth_count.per_minute)
        })
        .unit(Unit::ObjectsPerMinute),
        Column::time("first_seen_at", "when the first object was sampled here, UTC", |row| {
            row.verdict.callsite.first_seen_at
        }),
        Column::int_or_null("oldest_age_seconds", "some live sample is at least this old", |row| {
            row.verdict.judgement.oldest_age.map(|age| age as i64)
        })
        .unit(Unit::Seconds),
        Column::int("tenant_id", "tenant of the samples", |row| row.verdict.callsite.tenant_id),
        Column::int("ctx_id", "memory context", |row| row.verdict.callsite.ctx_id),
        LABEL,
        PID,
        Column::time("process_started_at", "when recording of the process began, UTC", |row| {
            row.verdict.source.started_at()
        }),
        Column::text("state", "varchar(16)", "alive or dead", |row| state_name(&row.verdict.source)),
        Column::written("command", "varchar(4096)", "command line of the process", |row, text| {
            text.push_str(&row.verdict.source.command());
        }),
        CALLSITE_ID,
        STACK_ID,
        LEAK_ID,
        Column::text(
            "leak_level",
            "varchar(16)",
            "callsite, or what the callsites of the leak share: stack (innermost frames), caller (outermost frames), label, process",
            |row| row.verdict.place.level.name(),
        ),
        Column::time_or_null("suspected_at", "since when it is suspected, UTC", |row| {
            row.standing.map(|(since, _)| since)
        }),
        Column::time_or_null("confirmed_at", "when its growth was last seen, UTC", |row| {
            row.standing.map(|(_, last)| last)
        }),
    ];

    const IS_SLOW: bool = true;

    fn name(&self) -> &'static str {
        "leak_verdicts"
    }

    fn comment(&self) -> &'static str {
        "every callsite with what its history says of it"
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        let reading = reading.clone();
        // Only when the first row is wanted: it takes a while.
        Box::new(std::iter::once_with(move || rows(&reading)))
    }

    fn completion(&self, reading: &Reading<Row>) -> Option<Completion<Row>> {
        let (is_named, is_identified) = (reading.asks(&APP_FRAME), reading.asks(&STACK_ID) || reading.asks(&LEAK_ID));
        let (mut namers, mut stack_ids) = (reading.namers(), reading.stack_ids());
        let complete = move |row: &mut Row| {
            if is_named {
                let namer = namers.of(&row.verdict.source);
                row.app_frame = namer.app_frame_text(shared(&row.verdict), row.verdict.callsite.module_generation);
            }
            if is_identified {
                row.stack_id = stack_ids.of(&row.verdict.source, &row.verdict.callsite);
                row.leak_id = match row.verdict.place.level {
                    LeakLevel::Callsite => row.stack_id.clone(),
                    _ => stack_ids.of_leak(&row.verdict, shared(&row.verdict)),
                };
            }
        };
        (is_named || is_identified).then(|| each(complete))
    }
}

/// The frames in which the stacks of a leak meet, by which it is named.
fn shared(verdict: &CallsiteVerdict) -> &[u64] {
    match verdict.place.level {
        LeakLevel::Label | LeakLevel::Process => &verdict.callsite.stack,
        _ => verdict.callsite.stack.get(verdict.place.frames.clone()).unwrap_or_default(),
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn rows(reading: &Reading<Row>) -> Vec<Row> {
    let visible = reading.visible();
    // The server's own history grows until it is full; a query that wants it names its pid.
    let is_pid_given = reading.has_condition(&PID);
    let is_wanted = |source: &Source| reading.may_pass(&PID, source.pid().into()) && (is_pid_given || !source.is_own());
    // All of a process: callsites are judged together, whichever are asked for.
    let processes = visible.callsites(is_wanted, |_| true);
    let is_kept = |judgement: &Judgement| reading.may_be(&IS_SUSPECT, judgement.is_suspect);
    let suspects = visible.server().suspects();
    let revise = |process, callsite_id, judgement| suspects.revise(process, callsite_id, judgement);
    let mut verdicts = visible.server().history().verdicts(processes, revise, is_kept);
    verdicts.callsites.retain(|CallsiteVerdict { callsite, .. }| {
        reading.may_pass(&CALLSITE_ID, callsite.callsite_id.cast_signed()) && reading.may_read(&LABEL, &callsite.label)
    });
    if verdicts.callsites.is_empty() {
        reading.warn(Warning::note(nothing(&verdicts)));
    }
    let row = |verdict: CallsiteVerdict| {
        let standing = suspects.standing(ProcessKey::of(&verdict.source), verdict.place.leak_id);
        Row { verdict, app_frame: String::new(), stack_id: String::new(), leak_id: String::new(), standing }
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
