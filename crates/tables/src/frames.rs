//! `heapql.frames`: every live stack frame by frame, with names, inlined functions included.
//!
//! What is live at a stack stands in each of its rows, so sums need a condition: `is_self` for what a function itself
//! allocated, `NOT is_repeat` for that and what it called.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use heapql_registry::{Callsite, Source};
use heapql_symbols::{FrameKind, Rules};

use crate::batch::{batches, bools, ints, ints_or_null, same_int, same_text, texts, texts_or_null, written};
use crate::stack_id;
use crate::stack_id::StackIds;
use crate::{Batches, Column, Request, Scope, SystemTable, sources};
use heapql_server::symbols::{Named, Namer, kind_name};

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::int("pid", "process that allocated"),
    Column::text("state", "varchar(16)", "alive or dead"),
    Column::bool("is_server", "the process is the server itself, which records its own heap too"),
    Column::int("callsite_id", "number of the callsite inside its process's ledger"),
    Column::text("label", "varchar(16)", "module label"),
    Column::int("frame", "place in the stack, 0 is the innermost; inlined functions have places of their own"),
    Column::text("address", "varchar(18)", "return address as back_trace has it"),
    Column::text("module", "varchar(4096)", "file that the code lies in"),
    Column::text("build_id", "varchar(128)", "which build of that file, in hexadecimal; empty if it does not say"),
    Column::text("module_offset", "varchar(18)", "the address in that file, for addr2line"),
    Column::text("function", "varchar(4096)", "name of the function, or module+offset"),
    Column::text("file", "varchar(4096)", "source file").or_null(),
    Column::int("line", "line in it").or_null(),
    Column::bool("is_inline", "its code is inside the next frame's function"),
    Column::text("kind", "varchar(16)", "whose code it is: allocator, runtime, library or application"),
    Column::bool("is_self", "the innermost frame that is not an allocator's"),
    Column::bool("is_repeat", "the function is nearer to the allocation already, by recursion"),
    Column::bool("is_app_frame", "the innermost frame of the user's own code"),
    Column::text("symbol_note", "varchar(4096)", "why there is no name, or only a poorer one").or_null(),
    Column::int("sampled_live_count", "live sampled objects of the stack"),
    Column::int("sampled_live_bytes", "requested bytes of those objects"),
    Column::int("est_count", "estimate of all live objects of the stack, sampled or not"),
    Column::int("est_bytes", "estimate of the requested bytes of all live objects of the stack"),
    Column::text("stack_id", stack_id::MYSQL_TYPE, "the same for the same stack in all processes and on all servers"),
];

/// Stacks that are named before rows of them are given: a LIMIT, and a client that has gone, stop the work.
const STACKS_AT_ONCE: usize = 32;

#[derive(Debug)]
pub(crate) struct Frames;

struct Row {
    pid: i64,
    state: &'static str,
    is_server: bool,
    callsite: Arc<Callsite>,
    stack_id: Arc<str>,
    frame: i64,
    named: Named,
    function: String,
    is_self: bool,
    is_repeat: bool,
    is_app_frame: bool,
}

impl SystemTable for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn comment(&self) -> &'static str {
        "every live stack frame by frame, with function, file and line"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn pushed(&self) -> &'static [&'static str] {
        &["pid", "is_server", "callsite_id", "label"]
    }

    fn is_slow(&self, _: &Column) -> bool {
        true
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let mut pieces: Vec<(Arc<Source>, Vec<Callsite>)> = Vec::new();
        for (source, mut callsites) in sources::readable(scope) {
            callsites.retain(|callsite| {
                scope.tenant.sees(callsite.tenant_id)
                    && request.passes_int("callsite_id", callsite.callsite_id.cast_signed())
                    && request.passes_text("label", &callsite.label)
            });
            let passes = request.passes_bool("is_server", source.is_own());
            if passes && request.passes_int("pid", source.pid().into()) {
                let chunks = callsites.chunks(STACKS_AT_ONCE);
                pieces.extend(chunks.map(|chunk| (Arc::clone(&source), chunk.to_vec())));
            }
        }
        let (server, request) = (Arc::clone(&scope.server), request.clone());
        let (mut namers, mut stack_ids) = (server.namers(), StackIds::new(&server));
        let identified = request.columns.iter().any(|&index| COLUMNS[index].name == "stack_id");
        Ok(Box::new(pieces.into_iter().flat_map(move |(source, callsites)| {
            let namer = namers.of(&source);
            let of = |callsite| {
                let stack_id = if identified { stack_ids.of(&source, &callsite) } else { String::new() };
                rows(&source, namer, Arc::new(callsite), stack_id.into())
            };
            let rows = callsites.into_iter().flat_map(of).collect();
            let server = Arc::clone(&server);
            batches(COLUMNS, &request, rows, move |column, rows| match column {
                "svr_ip" => same_text(rows.len(), server.svr_ip()),
                "svr_port" => same_int(rows.len(), i64::from(server.svr_port())),
                _ => cells(column, rows),
            })
        })))
    }
}

fn rows(source: &Source, namer: &mut Namer, callsite: Arc<Callsite>, stack_id: Arc<str>) -> Vec<Row> {
    let (state, is_server) = (sources::state_name(source), source.is_own());
    let named = namer.stack(&callsite.stack, callsite.module_generation);
    let app_frame = Rules::app_frame(named.iter().map(Named::kind_and_name));
    let own = named.iter().position(|named| named.kind != FrameKind::Allocator).unwrap_or(0);
    let mut seen = HashSet::new();
    let row = |(index, named): (usize, Named)| {
        let function = named.function();
        let is_repeat = !seen.insert((function.clone(), Arc::clone(&named.module)));
        Row {
            pid: source.pid().into(),
            state,
            is_server,
            callsite: Arc::clone(&callsite),
            stack_id: Arc::clone(&stack_id),
            frame: i64::try_from(index).unwrap_or(i64::MAX),
            named,
            function,
            is_self: index == own,
            is_repeat,
            is_app_frame: app_frame == Some(index),
        }
    };
    named.into_iter().enumerate().map(row).collect()
}

fn cells(column: &str, rows: &[Row]) -> ArrayRef {
    let hex = |value: u64, text: &mut String| text.push_str(&format!("{value:#x}"));
    match column {
        "pid" => ints(rows, |row| row.pid),
        "is_server" => bools(rows, |row| row.is_server),
        "state" => texts(rows, |row| row.state),
        "callsite_id" => ints(rows, |row| row.callsite.callsite_id.cast_signed()),
        "label" => texts(rows, |row| &row.callsite.label),
        "frame" => ints(rows, |row| row.frame),
        "address" => written(rows, |row, text| hex(row.named.address, text)),
        "module" => texts(rows, |row| &row.named.module),
        "build_id" => texts(rows, |row| &row.named.build_id),
        "module_offset" => written(rows, |row, text| hex(row.named.offset, text)),
        "function" => texts(rows, |row| &row.function),
        "file" => texts_or_null(rows, |row| row.named.frame.file.as_deref()),
        "line" => ints_or_null(rows, |row| row.named.frame.line.map(i64::from)),
        "is_inline" => bools(rows, |row| row.named.frame.is_inline),
        "kind" => texts(rows, |row| kind_name(row.named.kind)),
        "is_self" => bools(rows, |row| row.is_self),
        "is_repeat" => bools(rows, |row| row.is_repeat),
        "is_app_frame" => bools(rows, |row| row.is_app_frame),
        "symbol_note" => texts_or_null(rows, |row| row.named.note.as_deref()),
        "sampled_live_count" => ints(rows, |row| row.callsite.counters.live_count),
        "sampled_live_bytes" => ints(rows, |row| row.callsite.counters.live_bytes),
        "est_count" => ints(rows, |row| row.callsite.counters.est_count.value.round() as i64),
        "est_bytes" => ints(rows, |row| row.callsite.counters.est_bytes.value.round() as i64),
        _ => texts(rows, |row| &row.stack_id),
    }
}
