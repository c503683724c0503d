//! The rows of `growth(from [, to])`: what each callsite of each process had more, or less, at the second moment. The registry
//! computes them (`History::growth`).

use std::sync::Arc;
use std::time::SystemTime;

use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use heapql_registry::{CallsiteGrowth, Snapshot};

use crate::batch::{batches, floats, ints, same_int, same_text, same_time, texts, written};
use crate::malloc_sample_info::write_addresses;
use crate::provider::Provider;
use crate::{Batches, Column, Request, Scope, SystemTable, sources};
use heapql_server::failure::{Failure, FailureKind};
use heapql_server::server::Server;

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::int("pid", "process that allocated"),
    Column::int("callsite_id", "number of the callsite inside its process's ledger"),
    Column::int("tenant_id", "tenant of the samples"),
    Column::text("label", "varchar(16)", "module label"),
    Column::time("from_at", "the first moment: that of the snapshot nearest to what was asked for, UTC"),
    Column::time("to_at", "the second moment"),
    Column::int("est_count_growth", "estimate of how many more objects were live at the second moment"),
    Column::int("est_count_growth_error", "its standard error"),
    Column::int("est_bytes_growth", "estimate of how many more requested bytes were live"),
    Column::int("est_bytes_growth_error", "its standard error"),
    Column::float("est_bytes_per_minute", "est_bytes_growth by the minutes between"),
    Column::int("est_bytes_from", "estimate of the bytes that were live at the first moment"),
    Column::int("est_bytes_to", "estimate of the bytes that were live at the second moment"),
    Column::text("back_trace", "varchar(4096)", "all recorded return addresses, innermost first"),
];

/// Between two moments.
#[derive(Debug)]
struct Growth {
    arguments: Vec<String>,
    from: Arc<Snapshot>,
    /// None: now.
    to: Option<Arc<Snapshot>>,
}

pub(crate) const NAME: &str = "growth";

pub(crate) fn provider(scope: &Arc<Scope>, from: &str, until: Option<&str>) -> Result<Arc<dyn TableProvider>, Failure> {
    Ok(Arc::new(Provider::new(table(&scope.server, from, until)?, Arc::clone(scope))))
}

pub(crate) fn table(server: &Server, from: &str, until: Option<&str>) -> Result<Arc<dyn SystemTable>, Failure> {
    let moment = |text| server.moment(text);
    let arguments = [Some(from), until].into_iter().flatten().map(str::to_owned).collect();
    let growth = Growth { arguments, from: moment(from)?, to: until.map(moment).transpose()? };
    if let Some(to) = &growth.to
        && to.at < growth.from.at
    {
        let message = format!("growth: '{}' is before '{from}'", until.unwrap_or_default());
        return Err(Failure::new(FailureKind::Query, message).hint("the earlier moment comes first"));
    }
    Ok(Arc::new(growth))
}

struct Row {
    pid: i64,
    growth: CallsiteGrowth,
}

impl SystemTable for Growth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn comment(&self) -> &'static str {
        "what grew between two moments"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn arguments(&self) -> Vec<String> {
        self.arguments.clone()
    }

    fn pushed(&self) -> &'static [&'static str] {
        &["pid", "tenant_id", "label"]
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let mut rows = Vec::new();
        for (source, mut callsites) in sources::readable_where(scope, |_| true) {
            let pid = i64::from(source.pid());
            if !request.passes_int("pid", pid) {
                continue;
            }
            callsites.retain(|callsite| {
                scope.tenant.sees(callsite.tenant_id)
                    && request.passes_int("tenant_id", callsite.tenant_id)
                    && request.passes_text("label", &callsite.label)
            });
            let growth = scope.server.history().growth(&source, callsites, &self.from, self.to.as_deref());
            rows.extend(growth.into_iter().map(|growth| Row { pid, growth }));
        }
        let server = Arc::clone(&scope.server);
        let (from_at, to_at) = (self.from.at, self.to.as_ref().map_or_else(SystemTime::now, |to| to.at));
        let minutes = to_at.duration_since(from_at).unwrap_or_default().as_secs_f64() / 60.0;
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "svr_ip" => same_text(rows.len(), server.svr_ip()),
            "svr_port" => same_int(rows.len(), i64::from(server.svr_port())),
            "pid" => ints(rows, |row| row.pid),
            "callsite_id" => ints(rows, |row| row.growth.callsite.callsite_id.cast_signed()),
            "tenant_id" => ints(rows, |row| row.growth.callsite.tenant_id),
            "label" => texts(rows, |row| &row.growth.callsite.label),
            "from_at" => same_time(rows.len(), from_at),
            "to_at" => same_time(rows.len(), to_at),
            "est_count_growth" => {
                ints(rows, |row| rounded(row.growth.est_count_to()) - rounded(row.growth.est_count_from()))
            }
            "est_count_growth_error" => ints(rows, |row| rounded(row.growth.count_error())),
            "est_bytes_growth" => ints(rows, |row| rounded(row.bytes())),
            "est_bytes_growth_error" => ints(rows, |row| rounded(row.growth.bytes_error())),
            "est_bytes_per_minute" => floats(rows, |row| row.bytes() / minutes.max(1.0 / 60.0)),
            "est_bytes_from" => ints(rows, |row| rounded(row.growth.est_bytes_from())),
            "est_bytes_to" => ints(rows, |row| rounded(row.growth.est_bytes_to())),
            _ => written(rows, |row, text| write_addresses(&row.growth.callsite.stack, text)),
        }))
    }
}

fn rounded(value: f64) -> i64 {
    value.round() as i64
}

impl Row {
    fn bytes(&self) -> f64 {
        self.growth.est_bytes_to() - self.growth.est_bytes_from()
    }
}
