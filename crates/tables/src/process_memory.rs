//! `heapql.process_memory`: what the kernel says that a process holds, beside the estimate of what is live on its heap.
//!
//! The difference is the allocator's own (freed memory that it keeps, fragmentation), stacks, code, and mappings that malloc
//! has nothing to do with.

use std::sync::Arc;

use heapql_registry::{Estimate, Source, SourceState};

use crate::column::Unit;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};
use crate::visible::state_name;

/// The columns of this table.
type Column = TypedColumn<Row>;

#[derive(Debug)]
pub(crate) struct ProcessMemory;

pub(crate) struct Row {
    source: Arc<Source>,
    live: Estimate,
    rss: Option<i64>,
    pss: Option<i64>,
    swap: Option<i64>,
    why: Option<String>,
}

const PID: Column = Column::int("pid", "process id", |row| row.source.pid().into()).pushed();
const PSS_BYTES: Column =
    Column::int_or_null("pss_bytes", "resident memory with shared pages divided among those who share them", |row| {
        row.pss
    })
    .unit(Unit::Bytes);
const SWAP_BYTES: Column =
    Column::int_or_null("swap_bytes", "memory that is swapped out", |row| row.swap).unit(Unit::Bytes);

impl TypedTable for ProcessMemory {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        PID,
        Column::text("state", "varchar(16)", "alive or dead", |row| state_name(&row.source)),
        Column::written("command", "varchar(4096)", "command line", |row, text| text.push_str(&row.source.command())),
        Column::int_or_null("rss_bytes", "memory that is resident; NULL for a dead process", |row| row.rss)
            .unit(Unit::Bytes),
        PSS_BYTES,
        SWAP_BYTES,
        Column::int("est_bytes", "estimate of the requested bytes of all live objects", |row| {
            row.live.value.round() as i64
        })
        .unit(Unit::Bytes),
        Column::int("est_bytes_error", "standard error of est_bytes", |row| row.live.error().round() as i64)
            .unit(Unit::Bytes),
        Column::int("ledger_bytes", "what recording it takes: size of its ledger", |row| {
            i64::try_from(row.source.ledger_bytes()).unwrap_or(i64::MAX)
        })
        .unit(Unit::Bytes),
        Column::text_or_null("why", "varchar(4096)", "why the kernel's numbers are missing", |row| row.why.as_deref()),
    ];

    fn name(&self) -> &'static str {
        "process_memory"
    }

    fn comment(&self) -> &'static str {
        "resident memory beside the estimate of what is live on the heap"
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        // For these the kernel walks the process's page tables.
        let is_detailed = reading.asks(&PSS_BYTES) || reading.asks(&SWAP_BYTES);
        let visible = reading.visible();
        let live = visible.live(|source| reading.may_pass(&PID, source.pid().into()) && visible.owns(source));
        let row = |(source, callsites): (Arc<Source>, Vec<_>)| {
            let live = callsites.iter().map(|callsite: &heapql_registry::Callsite| callsite.counters.est_bytes).sum();
            row(source, live, is_detailed)
        };
        Box::new(std::iter::once(live.into_iter().map(row).collect()))
    }
}

fn row(source: Arc<Source>, live: Estimate, is_detailed: bool) -> Row {
    let mut row = Row { live, rss: None, pss: None, swap: None, why: None, source };
    if row.source.state() != SourceState::Alive {
        row.why = Some("it is dead".to_owned());
        return row;
    }
    let pid = row.source.pid();
    // The process's name, in `status`, may be no UTF-8.
    let read = |name: &str| {
        std::fs::read(format!("/proc/{pid}/{name}")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    if !is_detailed {
        match read("status") {
            Ok(text) => row.rss = kilobytes(&text, "VmRSS:"),
            Err(error) => row.why = Some(error.to_string()),
        }
        return row;
    }
    match read("smaps_rollup") {
        Ok(text) => {
            (row.rss, row.pss, row.swap) =
                (kilobytes(&text, "Rss:"), kilobytes(&text, "Pss:"), kilobytes(&text, "Swap:"));
        }
        Err(error) => {
            row.rss = read("status").ok().and_then(|text| kilobytes(&text, "VmRSS:"));
            row.why = Some(format!("/proc/{pid}/smaps_rollup: {error}"));
        }
    }
    row
}

fn kilobytes(rollup: &str, name: &str) -> Option<i64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
    let number: i64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files() {
        assert_eq!(kilobytes("00-ff r--p\nRss:    1234 kB\nPss:  7 kB\n", "Pss:"), Some(7168));
        assert_eq!(kilobytes("Rss: many", "Rss:"), None);
        assert_eq!(kilobytes("Name:\tVmRSS:\nVmRSS:\t    12 kB\n", "VmRSS:"), Some(12_288));
    }
}
