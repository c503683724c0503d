//! The rows of `growth(from [, to])`: what each callsite of each process had more, or less, at the second moment.
//!
//! A sample that is live at both moments says nothing about the difference; its error comes from those that came and went.

use std::sync::Arc;
use std::time::SystemTime;

use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use heapql_registry::{Callsite, Counters, Point, ProcessKey, Snapshot};

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
    callsite: Callsite,
    from: Option<Point>,
    to: Point,
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
        for (source, callsites) in sources::readable_where(scope, |_| true) {
            let (pid, process) = (i64::from(source.pid()), ProcessKey::of(&source));
            if !request.passes_int("pid", pid) {
                continue;
            }
            let as_of = |snapshot: &Snapshot| scope.server.history().as_of(process, snapshot);
            let before = as_of(&self.from);
            let after = self.to.as_deref().map(as_of);
            for callsite in callsites.into_iter().filter(|callsite| {
                scope.tenant.sees(callsite.tenant_id)
                    && request.passes_int("tenant_id", callsite.tenant_id)
                    && request.passes_text("label", &callsite.label)
            }) {
                let to = match &after {
                    None => Some(Point::of(u32::MAX, &callsite.counters)),
                    Some(after) => after.get(&callsite.callsite_id).copied(),
                };
                let from = before.get(&callsite.callsite_id).copied();
                let to = to.unwrap_or_else(|| Point::of(u32::MAX, &Counters::default()));
                // What was not there at either moment did not grow.
                if to.live_count > 0 || from.is_some_and(|from| from.live_count > 0) {
                    rows.push(Row { pid, callsite, from, to });
                }
            }
        }
        let server = Arc::clone(&scope.server);
        let (from_at, to_at) = (self.from.at, self.to.as_ref().map_or_else(SystemTime::now, |to| to.at));
        let minutes = to_at.duration_since(from_at).unwrap_or_default().as_secs_f64() / 60.0;
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "svr_ip" => same_text(rows.len(), server.svr_ip()),
            "svr_port" => same_int(rows.len(), i64::from(server.svr_port())),
            "pid" => ints(rows, |row| row.pid),
            "callsite_id" => ints(rows, |row| row.callsite.callsite_id.cast_signed()),
            "tenant_id" => ints(rows, |row| row.callsite.tenant_id),
            "label" => texts(rows, |row| &row.callsite.label),
            "from_at" => same_time(rows.len(), from_at),
            "to_at" => same_time(rows.len(), to_at),
            "est_count_growth" => ints(rows, |row| rounded(row.to.est_count.into()) - rounded(row.count_from())),
            "est_count_growth_error" => ints(rows, |row| rounded(row.error(|point| point.count_variance))),
            "est_bytes_growth" => ints(rows, |row| rounded(row.to.est_bytes - row.bytes_from())),
            "est_bytes_growth_error" => ints(rows, |row| rounded(row.error(|point| point.bytes_variance))),
            "est_bytes_per_minute" => {
                floats(rows, |row| (row.to.est_bytes - row.bytes_from()) / minutes.max(1.0 / 60.0))
            }
            "est_bytes_from" => ints(rows, |row| rounded(row.bytes_from())),
            "est_bytes_to" => ints(rows, |row| rounded(row.to.est_bytes)),
            _ => written(rows, |row, text| write_addresses(&row.callsite.stack, text)),
        }))
    }
}

fn rounded(value: f64) -> i64 {
    value.round() as i64
}

impl Row {
    fn count_from(&self) -> f64 {
        self.from.map_or(0.0, |from| from.est_count.into())
    }

    fn bytes_from(&self) -> f64 {
        self.from.map_or(0.0, |from| from.est_bytes)
    }

    /// Standard error of the difference. The samples that differ are those that came and those that went; of what is live
    /// at one moment no more can differ than was sampled, or freed, between the two.
    fn error(&self, variance: impl Fn(&Point) -> f32) -> f64 {
        let part = |point: &Point, changed: u32| {
            f64::from(variance(point)) * f64::from(changed.min(point.live_count)) / f64::from(point.live_count.max(1))
        };
        let Some(from) = &self.from else {
            return f64::from(variance(&self.to)).sqrt();
        };
        let came = self.to.total_count.saturating_sub(from.total_count);
        let freed = |point: &Point| point.total_count.saturating_sub(point.live_count);
        let went = freed(&self.to).saturating_sub(freed(from));
        (part(&self.to, came) + part(from, went)).sqrt()
    }
}
