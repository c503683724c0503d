//! `oceanbase.__all_virtual_sys_parameter_stat` and `gv$ob_parameters`: every parameter, hidden ones included, with
//! the columns of SHOW PARAMETERS. One row per server.

use heapql_server::parameters::{Line, ZONE};

use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};

/// The columns of this table.
type Column = TypedColumn<Line>;

/// The name under which SHOW PARAMETERS reads it.
pub const STAT: &str = "__all_virtual_sys_parameter_stat";
pub(crate) const GV: &str = "gv$ob_parameters";

/// The one table under its two names.
#[derive(Debug)]
pub(crate) struct ParameterStat(pub(crate) &'static str);

impl TypedTable for ParameterStat {
    type Row = Line;

    const COLUMNS: &'static [Column] = &[
        Column::text("zone", "varchar(128)", "zone of the server", |_| ZONE),
        Column::text("svr_type", "varchar(20)", "kind of server", |_| "observer"),
        Column::server_ip(),
        Column::server_port(),
        Column::text("name", "varchar(128)", "name of the parameter", |row| row.name),
        Column::text("data_type", "varchar(128)", "type of the value", |row| row.data_type),
        Column::text("value", "varchar(4096)", "stored value", |row| &row.value),
        Column::text("info", "varchar(4096)", "what it does, and its range", |row| row.info),
        Column::text("section", "varchar(1024)", "group of parameters", |_| "OBSERVER"),
        Column::text("scope", "varchar(1024)", "CLUSTER or TENANT", |_| "CLUSTER"),
        Column::text("source", "varchar(1024)", "where the parameter is defined", |_| "DEFAULT"),
        Column::text(
            "edit_level",
            "varchar(1024)",
            "DYNAMIC_EFFECTIVE: takes effect without a restart",
            |_| "DYNAMIC_EFFECTIVE",
        ),
        Column::text("default_value", "varchar(4096)", "value until it is set", |row| row.default_value),
        Column::int("isdefault", "1 if the value is the default", |row| i64::from(row.value == row.default_value)),
    ];

    fn name(&self) -> &'static str {
        self.0
    }

    fn comment(&self) -> &'static str {
        "parameters of every server, hidden ones included"
    }

    fn rows(&self, reading: &Reading<Line>) -> Chunks<Line> {
        Box::new(std::iter::once(reading.visible().server().parameters().lines()))
    }
}
