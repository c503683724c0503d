//! The rows of `growth(from [, to])`: what each callsite of each process had more, or less, at the second moment. The registry
//! computes them (`History::growth`).

use std::sync::Arc;
use std::time::SystemTime;

use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use heapql_registry::{CallsiteGrowth, Snapshot, Source};
use heapql_server::{Failure, FailureKind, Server};

use crate::column::Unit;
use crate::malloc_sample_info::write_addresses;
use crate::provider::Provider;
use crate::scope::TableScope;
use crate::table::SystemTable;
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Completion, Reading, TypedTable, each};

/// The columns of this table.
type Column = TypedColumn<Row>;

/// Interval two moments.
#[derive(Debug)]
struct Growth {
    arguments: Vec<String>,
    from: Arc<Snapshot>,
    /// None: now.
    to: Option<Arc<Snapshot>>,
}

pub(crate) const NAME: &str = "growth";

pub(crate) fn provider(
    scope: &Arc<TableScope>,
    from: &str,
    until: Option<&str>,
) -> Result<Arc<dyn TableProvider>, Failure> {
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

pub(crate) struct Row {
    source: Arc<Source>,
    growth: CallsiteGrowth,
    between: Interval,
    app_frame: String,
}

/// The two moments as times.
#[derive(Clone, Copy)]
struct Interval {
    from: SystemTime,
    to: SystemTime,
}

impl Interval {
    /// The minutes between, a second at least.
    fn minutes(self) -> f64 {
        (self.to.duration_since(self.from).unwrap_or_default().as_secs_f64() / 60.0).max(1.0 / 60.0)
    }
}

const PID: Column = Column::int("pid", "process that allocated", |row| row.source.pid().into()).pushed();
const APP_FRAME: Column = Column::text(
    "app_frame",
    "varchar(4096)",
    "the innermost frame of the user's own code, with file and line",
    |row| &row.app_frame,
)
.slow();

impl TypedTable for Growth {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        PID,
        Column::int("callsite_id", "number of the callsite inside its process's ledger", |row| {
            row.growth.callsite.callsite_id.cast_signed()
        }),
        Column::int("tenant_id", "tenant of the samples", |row| row.growth.callsite.tenant_id).pushed(),
        Column::text("label", "varchar(16)", "module label", |row| &row.growth.callsite.label).pushed(),
        Column::time("from_at", "the first moment: that of the snapshot nearest to what was asked for, UTC", |row| {
            row.between.from
        }),
        Column::time("to_at", "the second moment", |row| row.between.to),
        Column::int("est_count_growth", "estimate of how many more objects were live at the second moment", |row| {
            rounded(row.growth.est_count_to()) - rounded(row.growth.est_count_from())
        })
        .unit(Unit::Objects),
        Column::int("est_count_growth_error", "its standard error", |row| rounded(row.growth.count_error()))
            .unit(Unit::Objects),
        Column::int("est_bytes_growth", "estimate of how many more requested bytes were live", |row| {
            rounded(row.bytes())
        })
        .unit(Unit::Bytes),
        Column::int("est_bytes_growth_error", "its standard error", |row| rounded(row.growth.bytes_error()))
            .unit(Unit::Bytes),
        Column::float("est_growth_per_minute", "est_bytes_growth by the minutes between", |row| {
            row.bytes() / row.between.minutes()
        })
        .unit(Unit::BytesPerMinute),
        Column::float("est_growth_error", "standard error of est_growth_per_minute", |row| {
            row.growth.bytes_error() / row.between.minutes()
        })
        .unit(Unit::BytesPerMinute),
        Column::int("est_bytes_from", "estimate of the bytes that were live at the first moment", |row| {
            rounded(row.growth.est_bytes_from())
        })
        .unit(Unit::Bytes),
        Column::int("est_bytes_to", "estimate of the bytes that were live at the second moment", |row| {
            rounded(row.growth.est_bytes_to())
        })
        .unit(Unit::Bytes),
        Column::written(
            "back_trace",
            "varchar(4096)",
            "all recorded return addresses, innermost first",
            |row, text| write_addresses(&row.growth.callsite.stack, text),
        ),
        APP_FRAME,
    ];

    fn name(&self) -> &'static str {
        NAME
    }

    fn comment(&self) -> &'static str {
        "what grew between two moments"
    }

    fn arguments(&self) -> Vec<String> {
        self.arguments.clone()
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        let visible = reading.visible();
        let sources = visible.callsites(|source| reading.may_pass(&PID, source.pid().into()), |_| true);
        let between = Interval { from: self.from.at, to: self.to.as_ref().map_or_else(SystemTime::now, |to| to.at) };
        let mut rows = Vec::new();
        for (source, callsites) in sources {
            let growth = visible.server().history().growth(&source, callsites, &self.from, self.to.as_deref());
            rows.extend(growth.into_iter().map(|growth| Row {
                source: Arc::clone(&source),
                growth,
                between,
                app_frame: String::new(),
            }));
        }
        Box::new(std::iter::once(rows))
    }

    fn completion(&self, reading: &Reading<Row>) -> Option<Completion<Row>> {
        let mut namers = reading.namers();
        let complete = move |row: &mut Row| {
            let callsite = &row.growth.callsite;
            row.app_frame = namers.of(&row.source).app_frame_text(&callsite.stack, callsite.module_generation);
        };
        reading.asks(&APP_FRAME).then(|| each(complete))
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
