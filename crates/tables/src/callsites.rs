//! `heapql.callsites`: every live callsite of every process, with its full stack. The documented table sums these.
//!
//! Names are looked up only if a query asks for their columns.

use std::sync::Arc;

use heapql_registry::{Callsite, Source};

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;

use crate::batch::{batches, bools, ints, same_int, same_text, texts, times, written};
use crate::contexts::context_name;
use crate::malloc_sample_info::write_addresses;
use crate::stack_id;
use crate::stack_id::StackIds;
use crate::{Batches, Column, Request, Scope, SystemTable, sources};

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::int("pid", "process that allocated"),
    Column::time("process_started_at", "when recording of the process began, UTC"),
    Column::text("state", "varchar(16)", "alive or dead"),
    Column::bool("is_server", "the process is the server itself, which records its own heap too"),
    Column::int("callsite_id", "number of the callsite inside its process's ledger"),
    Column::int("tenant_id", "tenant of the samples"),
    Column::int("ctx_id", "memory context"),
    Column::text("ctx_name", "varchar(256)", "name of ctx_id"),
    Column::text("label", "varchar(16)", "module label"),
    Column::int("depth", "frames in back_trace"),
    Column::text("back_trace", "varchar(4096)", "all recorded return addresses, innermost first"),
    Column::int("sampled_live_count", "live sampled objects"),
    Column::int("sampled_live_bytes", "requested bytes of the live sampled objects"),
    Column::int("sampled_total_count", "objects ever sampled here"),
    Column::int("sampled_total_bytes", "requested bytes of all objects ever sampled here"),
    Column::int("est_count", "estimate of all live objects of the callsite, sampled or not"),
    Column::int("est_count_error", "standard error of est_count: two thirds of estimates are off by less"),
    Column::int("est_bytes", "estimate of the requested bytes of all live objects of the callsite"),
    Column::int("est_bytes_error", "standard error of est_bytes"),
    Column::int("est_total_count", "estimate of all objects ever allocated here"),
    Column::time("first_seen_at", "when the first object was sampled here, UTC"),
    Column::text("app_frame", "varchar(4096)", "the innermost frame of the user's own code, with file and line"),
    Column::text("stack", "varchar(65535)", "every frame with its name, innermost first, one a line"),
    Column::text("stack_id", stack_id::MYSQL_TYPE, "the same for the same stack in all processes and on all servers"),
];

#[derive(Debug)]
pub(crate) struct Callsites;

struct Row {
    source: Arc<Source>,
    callsite: Callsite,
    app_frame: String,
    stack: String,
    stack_id: String,
}

/// Rows whose names are looked up before the first of them is given.
const NAMED_AT_ONCE: usize = 256;

impl SystemTable for Callsites {
    fn name(&self) -> &'static str {
        "callsites"
    }

    fn comment(&self) -> &'static str {
        "live callsites of every process, with full stacks"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn pushed(&self) -> &'static [&'static str] {
        &["pid", "is_server", "tenant_id", "ctx_id", "label", "callsite_id"]
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let keep = |callsite: &Callsite| {
            scope.tenant.sees(callsite.tenant_id)
                && request.passes_int("tenant_id", callsite.tenant_id)
                && request.passes_int("ctx_id", callsite.ctx_id)
                && request.passes_text("label", &callsite.label)
                && request.passes_int("callsite_id", callsite.callsite_id.cast_signed())
        };
        let rows: Vec<Row> = sources::readable(scope)
            .into_iter()
            .filter(|(source, _)| request.passes_int("pid", source.pid().into()))
            .filter(|(source, _)| request.passes_bool("is_server", source.is_own()))
            .flat_map(|(source, callsites)| callsites.into_iter().map(move |callsite| (Arc::clone(&source), callsite)))
            .filter(|(_, callsite)| keep(callsite))
            .map(|(source, callsite)| Row {
                source,
                callsite,
                app_frame: String::new(),
                stack: String::new(),
                stack_id: String::new(),
            })
            .collect();
        let server = Arc::clone(&scope.server);
        let cells = move |column, rows: &[Row]| match column {
            "svr_ip" => same_text(rows.len(), server.svr_ip()),
            "svr_port" => same_int(rows.len(), i64::from(server.svr_port())),
            _ => cells(column, rows),
        };
        let is_asked = |name: &str| request.columns.iter().any(|&index| COLUMNS[index].name == name);
        let (frame, stack, stack_id) = (is_asked("app_frame"), is_asked("stack"), is_asked("stack_id"));
        if !frame && !stack && !stack_id {
            return Ok(batches(COLUMNS, request, rows, cells));
        }
        let (mut namers, mut stack_ids) = (scope.server.namers(), StackIds::new(&scope.server));
        let (request, cells, mut rows) = (request.clone(), Arc::new(cells), rows.into_iter());
        Ok(Box::new(
            std::iter::from_fn(move || {
                let mut chunk: Vec<Row> = rows.by_ref().take(NAMED_AT_ONCE).collect();
                for row in &mut chunk {
                    let (namer, generation) = (namers.of(&row.source), row.callsite.module_generation);
                    if frame {
                        row.app_frame = namer.app_frame_text(&row.callsite.stack, generation);
                    }
                    if stack {
                        row.stack = namer.stack_text(&row.callsite.stack, generation);
                    }
                    if stack_id {
                        row.stack_id = stack_ids.of(&row.source, &row.callsite);
                    }
                }
                let cells = Arc::clone(&cells);
                (!chunk.is_empty()).then(|| batches(COLUMNS, &request, chunk, move |column, rows| cells(column, rows)))
            })
            .flatten(),
        ))
    }

    fn is_slow(&self, column: &Column) -> bool {
        matches!(column.name, "app_frame" | "stack")
    }
}

fn cells(column: &str, rows: &[Row]) -> ArrayRef {
    match column {
        "pid" => ints(rows, |row| row.source.pid().into()),
        "process_started_at" => times(rows, |row| row.source.started_at()),
        "state" => texts(rows, |row| sources::state_name(&row.source)),
        "callsite_id" => ints(rows, |row| row.callsite.callsite_id.cast_signed()),
        "tenant_id" => ints(rows, |row| row.callsite.tenant_id),
        "ctx_id" => ints(rows, |row| row.callsite.ctx_id),
        "is_server" => bools(rows, |row| row.source.is_own()),
        "ctx_name" => written(rows, |row, text| text.push_str(&context_name(row.callsite.ctx_id))),
        "label" => texts(rows, |row| &row.callsite.label),
        "depth" => ints(rows, |row| i64::try_from(row.callsite.stack.len()).unwrap_or(i64::MAX)),
        "back_trace" => written(rows, |row, text| write_addresses(&row.callsite.stack, text)),
        "sampled_live_count" => ints(rows, |row| row.callsite.counters.live_count),
        "sampled_live_bytes" => ints(rows, |row| row.callsite.counters.live_bytes),
        "sampled_total_count" => ints(rows, |row| row.callsite.counters.total_count),
        "sampled_total_bytes" => ints(rows, |row| row.callsite.counters.total_bytes),
        "est_count" => ints(rows, |row| row.callsite.counters.est_count.value.round() as i64),
        "est_count_error" => ints(rows, |row| row.callsite.counters.est_count.error().round() as i64),
        "est_bytes" => ints(rows, |row| row.callsite.counters.est_bytes.value.round() as i64),
        "est_bytes_error" => ints(rows, |row| row.callsite.counters.est_bytes.error().round() as i64),
        "est_total_count" => ints(rows, |row| row.callsite.counters.est_total_count.round() as i64),
        "first_seen_at" => times(rows, |row| row.callsite.first_seen_at),
        "app_frame" => texts(rows, |row| &row.app_frame),
        "stack" => texts(rows, |row| &row.stack),
        _ => texts(rows, |row| &row.stack_id),
    }
}
