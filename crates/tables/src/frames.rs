//! `heapql.frames`: every live stack frame by frame, with names, inlined functions included.
//!
//! What is live at a stack stands in each of its rows, so sums need a condition: `is_self` for what a function itself
//! allocated, `NOT is_repeat` for that and what it called.

use std::collections::HashSet;
use std::sync::Arc;

use heapql_registry::{Callsite, Source};
use heapql_server::symbols::{Namer, ResolvedFrame, kind_name};
use heapql_symbols::{FrameKind, Rules};

use crate::column::Unit;
use crate::stack_id;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};
use crate::visible::state_name;

/// The columns of this table.
type Column = TypedColumn<Row>;

/// Stacks that are named before rows of them are given: a LIMIT, and a client that has gone, stop the work.
const STACKS_AT_ONCE: usize = 32;

#[derive(Debug)]
pub(crate) struct Frames;

pub(crate) struct Row {
    pid: i64,
    state: &'static str,
    is_server: bool,
    callsite: Arc<Callsite>,
    stack_id: Arc<str>,
    frame: i64,
    named: ResolvedFrame,
    function: String,
    is_self: bool,
    is_repeat: bool,
    is_app_frame: bool,
}

const PID: Column = Column::int("pid", "process that allocated", |row| row.pid).pushed();
const CALLSITE_ID: Column = Column::int("callsite_id", "number of the callsite inside its process's ledger", |row| {
    row.callsite.callsite_id.cast_signed()
})
.pushed();
const IS_SERVER: Column =
    Column::bool("is_server", "the process is the server itself, which records its own heap too", |row| row.is_server)
        .pushed();
const LABEL: Column = Column::text("label", "varchar(16)", "module label", |row| &row.callsite.label).pushed();
const STACK_ID: Column = Column::text("stack_id", stack_id::MYSQL_TYPE, stack_id::COMMENT, |row| &row.stack_id);

impl TypedTable for Frames {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        PID,
        Column::text("state", "varchar(16)", "alive or dead", |row| row.state),
        IS_SERVER,
        CALLSITE_ID,
        LABEL,
        Column::int(
            "frame",
            "place in the stack, 0 is the innermost; inlined functions have places of their own",
            |row| row.frame,
        ),
        Column::written("address", "varchar(18)", "return address as back_trace has it", |row, text| {
            write_hex(row.named.address, text);
        }),
        Column::text("module", "varchar(4096)", "file that the code lies in", |row| &row.named.module),
        Column::text(
            "build_id",
            "varchar(128)",
            "which build of that file, in hexadecimal; empty if it does not say",
            |row| &row.named.build_id,
        ),
        Column::written("module_offset", "varchar(18)", "the address in that file, for addr2line", |row, text| {
            write_hex(row.named.offset, text);
        }),
        Column::text("function", "varchar(4096)", "name of the function, or module+offset", |row| &row.function),
        Column::text_or_null("file", "varchar(4096)", "source file", |row| row.named.frame.file.as_deref()),
        Column::int_or_null("line", "line in it", |row| row.named.frame.line.map(i64::from)),
        Column::bool("is_inline", "its code is inside the next frame's function", |row| row.named.frame.is_inline),
        Column::text("kind", "varchar(16)", "whose code it is: allocator, runtime, library or application", |row| {
            kind_name(row.named.kind)
        }),
        Column::bool("is_self", "the innermost frame that is not an allocator's", |row| row.is_self),
        Column::bool("is_repeat", "the function is nearer to the allocation already, by recursion", |row| {
            row.is_repeat
        }),
        Column::bool("is_app_frame", "the innermost frame of the user's own code", |row| row.is_app_frame),
        Column::text_or_null("symbol_note", "varchar(4096)", "why there is no name, or only a poorer one", |row| {
            row.named.note.as_deref()
        }),
        Column::int("sampled_live_count", "live sampled objects of the stack", |row| row.callsite.counters.live_count)
            .unit(Unit::Objects),
        Column::int("sampled_live_bytes", "requested bytes of those objects", |row| row.callsite.counters.live_bytes)
            .unit(Unit::Bytes),
        Column::int("est_count", "estimate of all live objects of the stack, sampled or not", |row| {
            row.callsite.counters.est_count.value.round() as i64
        })
        .unit(Unit::Objects),
        Column::int("est_bytes", "estimate of the requested bytes of all live objects of the stack", |row| {
            row.callsite.counters.est_bytes.value.round() as i64
        })
        .unit(Unit::Bytes),
        STACK_ID,
    ];

    const IS_SLOW: bool = true;

    const ROWS_AT_ONCE: usize = 512;

    fn name(&self) -> &'static str {
        "frames"
    }

    fn comment(&self) -> &'static str {
        "every live stack frame by frame, with function, file and line"
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        let live = reading
            .visible()
            .live(|source| reading.may_pass(&PID, source.pid().into()) && reading.may_be(&IS_SERVER, source.is_own()));
        let mut parts: Vec<(Arc<Source>, Vec<Callsite>)> = Vec::new();
        for (source, mut callsites) in live {
            callsites.retain(|callsite| {
                reading.may_pass(&CALLSITE_ID, callsite.callsite_id.cast_signed())
                    && reading.may_read(&LABEL, &callsite.label)
            });
            let chunks = callsites.chunks(STACKS_AT_ONCE);
            parts.extend(chunks.map(|chunk| (Arc::clone(&source), chunk.to_vec())));
        }
        let (mut namers, mut stack_ids) = (reading.namers(), reading.stack_ids());
        let is_identified = reading.asks(&STACK_ID);
        Box::new(parts.into_iter().map(move |(source, callsites)| {
            let namer = namers.of(&source);
            let rows = |callsite| {
                let stack_id = if is_identified { stack_ids.of(&source, &callsite) } else { String::new() };
                rows(&source, namer, Arc::new(callsite), stack_id.into())
            };
            callsites.into_iter().flat_map(rows).collect()
        }))
    }
}

fn write_hex(value: u64, text: &mut String) {
    text.push_str(&format!("{value:#x}"));
}

fn rows(source: &Source, namer: &mut Namer, callsite: Arc<Callsite>, stack_id: Arc<str>) -> Vec<Row> {
    let (state, is_server) = (state_name(source), source.is_own());
    let named = namer.stack(&callsite.stack, callsite.module_generation);
    let app_frame = Rules::app_frame(named.iter().map(ResolvedFrame::kind_and_name));
    let own = named.iter().position(|named| named.kind != FrameKind::Allocator).unwrap_or(0);
    let mut seen = HashSet::new();
    let row = |(index, named): (usize, ResolvedFrame)| {
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
