//! `heapql.past_suspects`: every leak that was ever suspected, with its first and last time, what was said, and why it was cleared.
//! It needs no ledger: rows of processes that are gone stay. `leak_suspects` has what is suspected of what is there.

use heapql_server::suspects::SuspectRecord;

use crate::column::Unit;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};

/// The columns of this table.
type Column = TypedColumn<SuspectRecord>;

#[derive(Debug)]
pub(crate) struct PastSuspects;

impl TypedTable for PastSuspects {
    type Row = SuspectRecord;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        Column::text(
            "state",
            "varchar(16)",
            "suspected, cleared, or ended: its process ended while it was suspected",
            state,
        ),
        Column::time("suspected_at", "when it was first suspected, UTC", SuspectRecord::suspected_at),
        Column::time("confirmed_at", "when its growth was last seen, UTC", SuspectRecord::confirmed_at),
        Column::time_or_null("cleared_at", "when it was cleared, UTC", SuspectRecord::cleared_at),
        Column::text(
            "app_frame",
            "varchar(4096)",
            "the innermost frame of the user's own code, with file and line",
            |row| &row.app_frame,
        ),
        Column::text("why", "varchar(4096)", "the reason for the verdict when growth was last seen", |row| &row.why),
        Column::text_or_null("cleared_why", "varchar(4096)", "why it was cleared", |row| row.cleared_why.as_deref()),
        Column::int("est_bytes", "estimate of the live requested bytes when growth was last seen", |row| {
            row.est_bytes.round() as i64
        })
        .unit(Unit::Bytes),
        Column::int("est_bytes_error", "standard error of est_bytes", |row| row.est_bytes_error.round() as i64)
            .unit(Unit::Bytes),
        Column::float("est_growth_per_minute", "estimate of how many bytes a minute it grew by", |row| row.growth.0)
            .unit(Unit::BytesPerMinute),
        Column::float("est_growth_error", "standard error of est_growth_per_minute", |row| row.growth.1)
            .unit(Unit::BytesPerMinute),
        Column::float("est_count_growth_per_minute", "the same in objects", |row| row.growth_count.0)
            .unit(Unit::ObjectsPerMinute),
        Column::text("folded_stack", "varchar(16384)", "the functions of the whole stack, outermost first", |row| {
            &row.folded_stack
        }),
        Column::int("tenant_id", "tenant of the samples", |row| row.tenant_id),
        Column::text("label", "varchar(16)", "module label", |row| &row.label).pushed(),
        Column::int("pid", "process that allocated", |row| row.pid.into()).pushed(),
        Column::time(
            "process_started_at",
            "when recording of the process began, UTC",
            SuspectRecord::process_started_at,
        ),
        Column::text("command", "varchar(4096)", "command line of the process", |row| &row.command),
        Column::text("program", "varchar(4096)", "path of its executable", |row| &row.program),
        Column::text("build_id", "varchar(64)", "the executable's build-id, or empty", |row| &row.build_id),
        Column::int("callsite_id", "number of the callsite of which most is live inside its process's ledger", |row| {
            row.callsite_id.cast_signed()
        }),
        Column::text(
            "leak_level",
            "varchar(16)",
            "callsite, or what its callsites share: stack, caller, label, process",
            |row| &row.leak_level,
        ),
    ];

    fn name(&self) -> &'static str {
        "past_suspects"
    }

    fn comment(&self) -> &'static str {
        "leaks that were suspected, also of processes that are gone"
    }

    fn rows(&self, reading: &Reading<SuspectRecord>) -> Chunks<SuspectRecord> {
        let visible = reading.visible();
        let mut records = visible.server().suspects().records();
        records.retain(|record| visible.sees(record.tenant_id));
        records.sort_by_key(|record| std::cmp::Reverse(record.suspected_at_us));
        Box::new(std::iter::once(records))
    }
}

fn state(record: &SuspectRecord) -> &str {
    match record {
        _ if record.cleared_at_us.is_some() => "cleared",
        _ if record.has_ended => "ended",
        _ => "suspected",
    }
}
