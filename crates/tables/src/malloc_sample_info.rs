//! `oceanbase.__all_virtual_malloc_sample_info`: the documented table, nine columns and nothing more.
//!
//! Rows of several processes with the same program and stack are summed; a stack without a live object has no row.
//! Names, order and types are OceanBase's (`DESC` prints them), read in its public documents.

use std::collections::HashMap;
use std::sync::Arc;

use heapql_registry::Callsite;
use heapql_server::Warning;

use crate::column::Unit;
use crate::contexts::context_name;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};
use crate::visible::Visible;

/// The columns of this table.
type Column = TypedColumn<Row>;

pub(crate) const NAME: &str = "__all_virtual_malloc_sample_info";

/// Entries of `back_trace`, always; deeper stacks are in `heapql.callsites`.
const FRAMES: usize = 16;

#[derive(Debug)]
pub(crate) struct MallocSampleInfo;

impl TypedTable for MallocSampleInfo {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        Column::int("tenant_id", "1 = sys, 500 = the server itself and hooked C allocations, users from 1001", |row| {
            row.tenant_id
        })
        .pushed(),
        Column::int("ctx_id", "memory context; 22 is GLIBC", |row| row.ctx_id).pushed(),
        Column::text("mod_name", "varchar(256)", "module label; hooked C allocations are glibc_malloc", |row| {
            &row.label
        })
        .pushed(),
        Column::written(
            "back_trace",
            "varchar(4096)",
            "16 return addresses, innermost first, for addr2line",
            |row, text| write_back_trace(&row.stack, text),
        ),
        Column::written("ctx_name", "varchar(256)", "name of ctx_id", |row, text| {
            text.push_str(&context_name(row.ctx_id));
        }),
        Column::int("alloc_count", "live sampled objects, raw", |row| row.alloc_count).unit(Unit::Objects).ordered(),
        Column::int("alloc_bytes", "requested bytes of those objects, raw", |row| row.alloc_bytes)
            .unit(Unit::Bytes)
            .ordered(),
    ];

    fn name(&self) -> &'static str {
        NAME
    }

    fn comment(&self) -> &'static str {
        "live sampled allocations by stack"
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        Box::new(std::iter::once(summed(reading)))
    }
}

/// One row of the table before any text is made.
pub(crate) struct Row {
    tenant_id: i64,
    ctx_id: i64,
    label: Arc<str>,
    stack: Arc<[u64]>,
    alloc_count: i64,
    alloc_bytes: i64,
}

/// The key under which callsites become one row. The program is a number: addresses of different programs never mix.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    program: usize,
    tenant_id: i64,
    ctx_id: i64,
    label: &'a str,
    stack: &'a [u64],
}

fn summed(reading: &Reading<Row>) -> Vec<Row> {
    let visible = reading.visible();
    let sources = visible.live(|_| true);
    let mut programs: HashMap<&str, usize> = HashMap::new();
    let mut index: HashMap<Key<'_>, usize> = HashMap::new();
    let mut rows: Vec<Row> = Vec::new();
    for (source, callsites) in &sources {
        let next = programs.len();
        let program = *programs.entry(source.program()).or_insert(next);
        for callsite in callsites {
            let place = *index.entry(key(program, callsite)).or_insert(rows.len());
            add(&mut rows, place, callsite);
        }
    }
    if rows.is_empty() {
        reading.warn(Warning::note(why_empty(&visible, sources.len())));
    }
    drop(index);
    rows
}

fn shown(stack: &[u64]) -> &[u64] {
    &stack[..stack.len().min(FRAMES)]
}

fn key(program: usize, callsite: &Callsite) -> Key<'_> {
    let Callsite { tenant_id, ctx_id, label, stack, .. } = callsite;
    Key { program, tenant_id: *tenant_id, ctx_id: *ctx_id, label, stack: shown(stack) }
}

fn add(rows: &mut Vec<Row>, place: usize, callsite: &Callsite) {
    if let Some(row) = rows.get_mut(place) {
        row.alloc_count = row.alloc_count.saturating_add(callsite.counters.live_count);
        row.alloc_bytes = row.alloc_bytes.saturating_add(callsite.counters.live_bytes);
        return;
    }
    rows.push(Row {
        tenant_id: callsite.tenant_id,
        ctx_id: callsite.ctx_id,
        label: Arc::clone(&callsite.label),
        stack: Arc::clone(&callsite.stack),
        alloc_count: callsite.counters.live_count,
        alloc_bytes: callsite.counters.live_bytes,
    });
}

/// Exactly 16 entries, padded with `0x0`.
fn write_back_trace(stack: &[u64], text: &mut String) {
    write_addresses(shown(stack), text);
    for _ in stack.len()..FRAMES {
        text.push_str(if text.is_empty() { "0x0" } else { " 0x0" });
    }
}

/// Lower-case `0x..`, one space between. By hand: formatting machinery would dominate a scan of 100,000 stacks.
pub(crate) fn write_addresses(stack: &[u64], text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (position, address) in stack.iter().enumerate() {
        text.push_str(if position == 0 { "0x" } else { " 0x" });
        let digits = (67 - address.leading_zeros().min(63)) / 4;
        for digit in (0..digits).rev() {
            text.push(char::from(DIGITS[(address >> (4 * digit)) as usize & 15]));
        }
    }
}

fn why_empty(visible: &Visible, sources: usize) -> String {
    let intervals = visible.server().parameters().in_force().intervals;
    if sources == 0 {
        return "no rows: no process is recorded; start one with: heapql run -- PROGRAM".to_owned();
    }
    if intervals.min >= 10_000 {
        return "no rows: the intervals 10000..10000 stop recording; \
                next: ALTER SYSTEM SET _min_malloc_sample_interval = 16, _max_malloc_sample_interval = 256"
            .to_owned();
    }
    format!(
        "no rows: no live sample in {sources} recorded process(es); the next one of a label is due after {}..{} \
         allocations; 1..1 records every allocation",
        intervals.min, intervals.max
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back_trace(stack: &[u64]) -> String {
        let mut text = String::new();
        write_back_trace(stack, &mut text);
        text
    }

    #[test]
    fn back_trace_has_sixteen_entries() {
        for depth in 0..40u64 {
            let stack: Vec<u64> = (0..depth).map(|frame| frame * 0x1234_5678_9abc).collect();
            let entries: Vec<_> = stack.iter().map(|address| format!("{address:#x}")).collect();
            let padded = entries.into_iter().chain(std::iter::repeat("0x0".to_owned())).take(FRAMES);
            assert_eq!(back_trace(&stack), padded.collect::<Vec<_>>().join(" "));
        }
    }

    #[test]
    fn addresses_are_lower_case_hex() {
        assert!(back_trace(&[u64::MAX, 0xAB, 0x10, 1, 0]).starts_with("0xffffffffffffffff 0xab 0x10 0x1 0x0 0x0"));
    }
}
