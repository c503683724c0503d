//! `heapql.self_usage`: what the profiler itself costs and what it lost, as rows.

use heapql_registry::LossCount;
use heapql_server::Server;

use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};

/// The columns of this table.
type Column = TypedColumn<Row>;

#[derive(Debug)]
pub(crate) struct SelfUsage;

pub(crate) struct Row {
    name: String,
    pid: Option<i64>,
    value: i64,
    unit: String,
    description: String,
}

impl TypedTable for SelfUsage {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::server_ip(),
        Column::server_port(),
        Column::text("name", "varchar(64)", "what is measured", |row| &row.name),
        Column::int_or_null("pid", "process it is about; NULL for the server", |row| row.pid),
        Column::int("value", "how much", |row| row.value),
        Column::text("unit", "varchar(16)", "unit of value", |row| &row.unit),
        Column::text("description", "varchar(1024)", "what it counts", |row| &row.description),
    ];

    fn name(&self) -> &'static str {
        "self_usage"
    }

    fn comment(&self) -> &'static str {
        "the profiler's own cost, and what it lost"
    }

    /// The rows are about the server as a whole, hence for the sys tenant only.
    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        Box::new(std::iter::once(reading.visible().whole_server().map_or_else(Vec::new, |server| rows(server))))
    }
}

fn rows(server: &Server) -> Vec<Row> {
    let mut rows: Vec<Row> = usage(server);
    rows.push(Row {
        name: "connections".to_owned(),
        pid: None,
        value: i64::try_from(server.connections().list().len()).unwrap_or(i64::MAX),
        unit: "count".to_owned(),
        description: "open client connections".to_owned(),
    });
    for source in server.registry().sources() {
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

fn usage(server: &Server) -> Vec<Row> {
    let row = |usage: heapql_registry::Usage| Row {
        name: usage.name.to_string(),
        pid: None,
        value: usage.value,
        unit: usage.unit.to_string(),
        description: usage.description.to_string(),
    };
    server.usage().into_iter().map(row).collect()
}
