//! `oceanbase.__all_virtual_sys_parameter_stat` and `gv$ob_parameters`: every parameter, hidden ones included, with
//! the columns of SHOW PARAMETERS. One row per server.

use datafusion::error::Result;

use crate::batch::{batches, ints, same_int, same_text, texts};
use crate::{Batches, Column, Request, Scope, SystemTable};
use heapql_server::parameters::Line;

pub const STAT: &str = "__all_virtual_sys_parameter_stat";
pub(crate) const GV: &str = "gv$ob_parameters";

const COLUMNS: &[Column] = &[
    Column::text("zone", "varchar(128)", "zone of the server"),
    Column::text("svr_type", "varchar(20)", "kind of server"),
    Column::text("svr_ip", "varchar(46)", "address of the server"),
    Column::int("svr_port", "cluster port of the server; its MySQL port if it has none"),
    Column::text("name", "varchar(128)", "name of the parameter"),
    Column::text("data_type", "varchar(128)", "type of the value"),
    Column::text("value", "varchar(4096)", "stored value"),
    Column::text("info", "varchar(4096)", "what it does, and its range"),
    Column::text("section", "varchar(1024)", "group of parameters"),
    Column::text("scope", "varchar(1024)", "CLUSTER or TENANT"),
    Column::text("source", "varchar(1024)", "where the parameter is defined"),
    Column::text("edit_level", "varchar(1024)", "DYNAMIC_EFFECTIVE: takes effect without a restart"),
    Column::text("default_value", "varchar(4096)", "value until it is set"),
    Column::int("isdefault", "1 if the value is the default"),
];

/// The one table under its two names.
#[derive(Debug)]
pub(crate) struct ParameterStat(pub &'static str);

impl SystemTable for ParameterStat {
    fn name(&self) -> &'static str {
        self.0
    }

    fn comment(&self) -> &'static str {
        "parameters of every server, hidden ones included"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let server = &scope.server;
        let (svr_ip, svr_port) = (server.svr_ip().to_owned(), i64::from(server.svr_port()));
        let rows: Vec<Line> = server.parameters().lines();
        Ok(batches(COLUMNS, request, rows, move |column, rows| match column {
            "zone" => same_text(rows.len(), heapql_server::parameters::ZONE),
            "svr_type" => same_text(rows.len(), "observer"),
            "svr_ip" => same_text(rows.len(), &svr_ip),
            "svr_port" => same_int(rows.len(), svr_port),
            "name" => texts(rows, |row| row.name),
            "data_type" => texts(rows, |row| row.data_type),
            "value" => texts(rows, |row| &row.value),
            "info" => texts(rows, |row| row.info),
            "section" => same_text(rows.len(), "OBSERVER"),
            "scope" => same_text(rows.len(), "CLUSTER"),
            "source" => same_text(rows.len(), "DEFAULT"),
            "edit_level" => same_text(rows.len(), "DYNAMIC_EFFECTIVE"),
            "default_value" => texts(rows, |row| row.default_value),
            _ => ints(rows, |row| i64::from(row.value == row.default_value)),
        }))
    }
}
