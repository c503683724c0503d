//! `heapql.process_memory`: what the kernel says that a process holds, beside the estimate of what is live on its heap.
//!
//! The difference is the allocator's own (freed memory that it keeps, fragmentation), stacks, code, and mappings that malloc
//! has nothing to do with.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use heapql_registry::{Estimate, Source, SourceState};

use crate::batch::{batches, ints, ints_or_null, same_int, same_text, texts, texts_or_null, written};
use crate::{Batches, Column, Request, Scope, SystemTable, sources};

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::int("pid", "process id"),
    Column::text("state", "varchar(16)", "alive or dead"),
    Column::text("command", "varchar(4096)", "command line"),
    Column::int("rss_bytes", "memory that is resident; NULL for a dead process").or_null(),
    Column::int("pss_bytes", "resident memory with shared pages divided among those who share them").or_null(),
    Column::int("swap_bytes", "memory that is swapped out").or_null(),
    Column::int("est_live_bytes", "estimate of the requested bytes of all live objects"),
    Column::int("est_live_bytes_error", "standard error of est_live_bytes"),
    Column::int("ledger_bytes", "what recording it takes: size of its ledger"),
    Column::text("why", "varchar(4096)", "why the kernel's numbers are missing").or_null(),
];

/// Columns of a file for which the kernel walks the process's page tables.
const DETAILED: [&str; 2] = ["pss_bytes", "swap_bytes"];

#[derive(Debug)]
pub(crate) struct ProcessMemory;

struct Row {
    source: Arc<Source>,
    live: Estimate,
    rss: Option<i64>,
    pss: Option<i64>,
    swap: Option<i64>,
    why: Option<String>,
}

impl SystemTable for ProcessMemory {
    fn name(&self) -> &'static str {
        "process_memory"
    }

    fn comment(&self) -> &'static str {
        "resident memory beside the estimate of what is live on the heap"
    }

    fn columns(&self) -> &[Column] {
        COLUMNS
    }

    fn pushed(&self) -> &'static [&'static str] {
        &["pid"]
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let detailed = request.columns.iter().any(|&index| DETAILED.contains(&COLUMNS[index].name));
        let mut rows = Vec::new();
        for (source, callsites) in sources::readable(scope) {
            if scope.tenant.sees(source.tenant_id()) && request.passes_int("pid", source.pid().into()) {
                let live = callsites.iter().map(|callsite| callsite.counters.est_bytes).sum();
                rows.push(row(source, live, detailed));
            }
        }
        let server = Arc::clone(&scope.server);
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "svr_ip" => same_text(rows.len(), server.svr_ip()),
            "svr_port" => same_int(rows.len(), i64::from(server.svr_port())),
            _ => cells(column, rows),
        }))
    }
}

fn row(source: Arc<Source>, live: Estimate, detailed: bool) -> Row {
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
    if !detailed {
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

fn cells(column: &str, rows: &[Row]) -> ArrayRef {
    match column {
        "pid" => ints(rows, |row| row.source.pid().into()),
        "state" => texts(rows, |row| sources::state_name(&row.source)),
        "command" => written(rows, |row, text| text.push_str(&row.source.command())),
        "rss_bytes" => ints_or_null(rows, |row| row.rss),
        "pss_bytes" => ints_or_null(rows, |row| row.pss),
        "swap_bytes" => ints_or_null(rows, |row| row.swap),
        "est_live_bytes" => ints(rows, |row| row.live.value.round() as i64),
        "est_live_bytes_error" => ints(rows, |row| row.live.error().round() as i64),
        "ledger_bytes" => ints(rows, |row| i64::try_from(row.source.ledger_bytes()).unwrap_or(i64::MAX)),
        _ => texts_or_null(rows, |row| row.why.as_deref()),
    }
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
