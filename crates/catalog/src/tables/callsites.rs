//! `heapql.callsites`: every live callsite of every process, with its full stack. The documented table sums these.

use std::sync::Arc;

use heapql_registry::Callsite;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;

use super::batch::{batches, ints, same_int, same_text, texts, written};
use super::malloc_sample_info::write_addresses;
use super::{Batches, Column, Request, Scope, SystemTable, sources};

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::int("pid", "process that allocated"),
    Column::int("callsite_id", "number of the callsite inside its process's ledger"),
    Column::int("tenant_id", "tenant of the samples"),
    Column::int("ctx_id", "memory context"),
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
];

#[derive(Debug)]
pub(crate) struct Callsites;

struct Row {
    pid: i64,
    callsite: Callsite,
}

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
        &["pid", "tenant_id", "ctx_id", "label"]
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let keep = |callsite: &Callsite| {
            scope.tenant.sees(callsite.tenant_id)
                && request.passes_int("tenant_id", callsite.tenant_id)
                && request.passes_int("ctx_id", callsite.ctx_id)
                && request.passes_text("label", &callsite.label)
        };
        let rows = sources::readable(scope)
            .into_iter()
            .map(|(source, callsites)| (i64::from(source.pid()), callsites))
            .filter(|(pid, _)| request.passes_int("pid", *pid))
            .flat_map(|(pid, callsites)| callsites.into_iter().map(move |callsite| Row { pid, callsite }))
            .filter(|row| keep(&row.callsite))
            .collect();
        let server = Arc::clone(&scope.server);
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "svr_ip" => same_text(rows.len(), server.svr_ip()),
            "svr_port" => same_int(rows.len(), i64::from(server.svr_port())),
            _ => cells(column, rows),
        }))
    }
}

fn cells(column: &str, rows: &[Row]) -> ArrayRef {
    match column {
        "pid" => ints(rows, |row| row.pid),
        "callsite_id" => ints(rows, |row| row.callsite.callsite_id.cast_signed()),
        "tenant_id" => ints(rows, |row| row.callsite.tenant_id),
        "ctx_id" => ints(rows, |row| row.callsite.ctx_id),
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
        _ => ints(rows, |row| row.callsite.counters.est_bytes.error().round() as i64),
    }
}
