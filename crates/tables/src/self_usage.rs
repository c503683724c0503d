//! `heapql.self_usage`: what the profiler itself costs and what it lost, as rows.

use datafusion::error::Result;

use heapql_registry::LossCount;

use crate::batch::{batches, ints, ints_or_null, same_int, same_text, texts};
use crate::{Batches, Column, Request, Scope, SystemTable};
use heapql_server::tenant::Tenant;

const COLUMNS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server that holds the row"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::text("name", "varchar(64)", "what is measured"),
    Column::int("pid", "process it is about; NULL for the server").or_null(),
    Column::int("value", "how much"),
    Column::text("unit", "varchar(16)", "unit of value"),
    Column::text("description", "varchar(1024)", "what it counts"),
];

#[derive(Debug)]
pub(crate) struct SelfUsage;

struct Row {
    name: String,
    pid: Option<i64>,
    value: i64,
    unit: String,
    description: String,
}

impl SystemTable for SelfUsage {
    fn name(&self) -> &'static str {
        "self_usage"
    }

    fn comment(&self) -> &'static str {
        "the profiler's own cost, and what it lost"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    /// About the server as a whole, hence for the sys tenant only.
    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let rows = if scope.tenant == Tenant::Sys { rows(scope) } else { Vec::new() };
        let (svr_ip, svr_port) = (scope.server.svr_ip().to_owned(), i64::from(scope.server.svr_port()));
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "svr_ip" => same_text(rows.len(), &svr_ip),
            "svr_port" => same_int(rows.len(), svr_port),
            "name" => texts(rows, |row| &row.name),
            "pid" => ints_or_null(rows, |row| row.pid),
            "value" => ints(rows, |row| row.value),
            "unit" => texts(rows, |row| &row.unit),
            _ => texts(rows, |row| &row.description),
        }))
    }
}

fn rows(scope: &Scope) -> Vec<Row> {
    let mut rows: Vec<Row> = server(scope);
    rows.push(Row {
        name: "connections".to_owned(),
        pid: None,
        value: i64::try_from(scope.server.connections().list().len()).unwrap_or(i64::MAX),
        unit: "count".to_owned(),
        description: "open client connections".to_owned(),
    });
    for source in scope.server.registry().sources() {
        for LossCount { name, count, is_unrecorded } in source.losses() {
            let what =
                if is_unrecorded { "due for a sample and not recorded" } else { "recorded with less than there is" };
            rows.push(Row {
                name: format!("loss_{name}"),
                pid: Some(i64::from(source.pid())),
                value: i64::try_from(count).unwrap_or(i64::MAX),
                unit: "count".to_owned(),
                description: format!("allocations {what}: {name}"),
            });
        }
    }
    rows
}

fn server(scope: &Scope) -> Vec<Row> {
    let row = |usage: heapql_registry::Usage| Row {
        name: usage.name.to_string(),
        pid: None,
        value: usage.value,
        unit: usage.unit.to_string(),
        description: usage.description.to_string(),
    };
    scope.server.usage().into_iter().map(row).collect()
}
