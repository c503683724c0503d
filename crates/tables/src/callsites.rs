//! `heapql.callsites`: the live callsites of every process, with their full stacks and all counters.

use std::sync::Arc;

use heapql_registry::{Callsite, Source};

use crate::column::Unit;
use crate::contexts::context_name;
use crate::malloc_sample_info::write_addresses;
use crate::stack_id;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Completion, Reading, TypedTable};
use crate::visible::state_name;

/// The columns of this table.
type Column = TypedColumn<Row>;

#[derive(Debug)]
pub(crate) struct Callsites;

pub(crate) struct Row {
    source: Arc<Source>,
    callsite: Callsite,
    app_frame: String,
    stack: String,
    stack_id: String,
}

const PID: Column = Column::int("pid", "process that allocated", |row| row.source.pid().into()).pushed();
const APP_FRAME: Column = Column::text(
    "app_frame",
    "varchar(4096)",
    "the innermost frame of the user's own code, with file and line",
    |row| &row.app_frame,
)
.slow();
const STACK: Column =
    Column::text("stack", "varchar(65535)", "every frame with its name, innermost first, one a line", |row| &row.stack)
        .slow();
const STACK_ID: Column = Column::text("stack_id", stack_id::MYSQL_TYPE, stack_id::COMMENT, |row| &row.stack_id);

impl TypedTable for Callsites {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        PID,
        Column::time("process_started_at", "when recording of the process began, UTC", |row| row.source.started_at()),
        Column::text("state", "varchar(16)", "alive or dead", |row| state_name(&row.source)),
        Column::bool("is_server", "the process is the server itself, which records its own heap too", |row| {
            row.source.is_own()
        })
        .pushed(),
        Column::int("callsite_id", "number of the callsite inside its process's ledger", |row| {
            row.callsite.callsite_id.cast_signed()
        })
        .pushed(),
        Column::int("tenant_id", "tenant of the samples", |row| row.callsite.tenant_id).pushed(),
        Column::int("ctx_id", "memory context", |row| row.callsite.ctx_id).pushed(),
        Column::written("ctx_name", "varchar(256)", "name of ctx_id", |row, text| {
            text.push_str(&context_name(row.callsite.ctx_id));
        }),
        Column::text("label", "varchar(16)", "module label", |row| &row.callsite.label).pushed(),
        Column::int("depth", "frames in back_trace", |row| i64::try_from(row.callsite.stack.len()).unwrap_or(i64::MAX)),
        Column::written(
            "back_trace",
            "varchar(4096)",
            "all recorded return addresses, innermost first",
            |row, text| write_addresses(&row.callsite.stack, text),
        ),
        Column::int("sampled_live_count", "live sampled objects", |row| row.callsite.counters.live_count)
            .unit(Unit::Objects),
        Column::int("sampled_live_bytes", "requested bytes of the live sampled objects", |row| {
            row.callsite.counters.live_bytes
        })
        .unit(Unit::Bytes),
        Column::int("sampled_total_count", "objects ever sampled here", |row| row.callsite.counters.total_count)
            .unit(Unit::Objects),
        Column::int("sampled_total_bytes", "requested bytes of all objects ever sampled here", |row| {
            row.callsite.counters.total_bytes
        })
        .unit(Unit::Bytes),
        Column::int("est_count", "estimate of all live objects of the callsite, sampled or not", |row| {
            row.callsite.counters.est_count.value.round() as i64
        })
        .unit(Unit::Objects),
        Column::int("est_count_error", "standard error of est_count: two thirds of estimates are off by less", |row| {
            row.callsite.counters.est_count.error().round() as i64
        })
        .unit(Unit::Objects),
        Column::int("est_bytes", "estimate of the requested bytes of all live objects of the callsite", |row| {
            row.callsite.counters.est_bytes.value.round() as i64
        })
        .unit(Unit::Bytes),
        Column::int("est_bytes_error", "standard error of est_bytes", |row| {
            row.callsite.counters.est_bytes.error().round() as i64
        })
        .unit(Unit::Bytes),
        Column::int("est_total_count", "estimate of all objects ever allocated here", |row| {
            row.callsite.counters.est_total_count.round() as i64
        })
        .unit(Unit::Objects),
        Column::time("first_seen_at", "when the first object was sampled here, UTC", |row| row.callsite.first_seen_at),
        APP_FRAME,
        STACK,
        STACK_ID,
    ];

    fn name(&self) -> &'static str {
        "callsites"
    }

    fn comment(&self) -> &'static str {
        "live callsites of every process, with full stacks"
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        let live = reading.visible().live(|source| reading.may_pass(&PID, source.pid().into()));
        Box::new(live.into_iter().map(|(source, callsites)| {
            let row = |callsite| Row {
                source: Arc::clone(&source),
                callsite,
                app_frame: String::new(),
                stack: String::new(),
                stack_id: String::new(),
            };
            callsites.into_iter().map(row).collect()
        }))
    }

    fn completion(&self, reading: &Reading<Row>) -> Option<Completion<Row>> {
        let (app_frame, stack, stack_id) = (reading.asks(&APP_FRAME), reading.asks(&STACK), reading.asks(&STACK_ID));
        let (mut namers, mut stack_ids) = (reading.namers(), reading.stack_ids());
        let complete = move |row: &mut Row| {
            let (namer, generation) = (namers.of(&row.source), row.callsite.module_generation);
            if app_frame {
                row.app_frame = namer.app_frame_text(&row.callsite.stack, generation);
            }
            if stack {
                row.stack = namer.stack_text(&row.callsite.stack, generation);
            }
            if stack_id {
                row.stack_id = stack_ids.of(&row.source, &row.callsite);
            }
        };
        (app_frame || stack || stack_id).then(|| crate::typed_table::each(complete))
    }
}
