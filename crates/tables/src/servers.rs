//! `heapql.servers`, and `oceanbase.dba_ob_servers` and `__all_server`, which have the names and types of OceanBase: who
//! belongs to the cluster and answers. A server alone shows itself.
//!
//! The rows are what this server knows (`Cluster::servers`), all others included; nobody is asked.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::batch::micros;
use crate::listed::Listed;
use crate::listing::Cell;
use crate::{Column, Scope, SystemTable};
use heapql_server::cluster::ServerLine;
use heapql_server::parameters::ZONE;
use heapql_server::server::Server;

const SERVERS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server"),
    Column::int("svr_port", "its cluster port; its MySQL port if it has none"),
    Column::text("zone", "varchar(128)", "zone of the server"),
    Column::int("sql_port", "its MySQL port; 0 if it has none, or has not been heard of yet"),
    Column::text("status", "varchar(64)", "ACTIVE, or INACTIVE: queries do without it, and say so"),
    Column::time("last_seen_at", "when it was last heard of, UTC").or_null(),
    Column::time("started_at", "when it was started, UTC").or_null(),
    Column::text("version", "varchar(256)", "version of HeapQL that it runs"),
    Column::int("sources", "recorded processes, itself included, dead ones too"),
    Column::text("why", "varchar(4096)", "why it is not active; empty if it is"),
];

const DBA_OB_SERVERS: &[Column] = &[
    Column::text("svr_ip", "varchar(46)", "address of the server"),
    Column::int("svr_port", "its cluster port; its MySQL port if it has none"),
    Column::int("id", "its place in the order of the addresses"),
    Column::text("zone", "varchar(128)", "zone of the server"),
    Column::int("sql_port", "its MySQL port"),
    Column::text("with_rootserver", "varchar(3)", "NO: there is no root server, all servers are equal"),
    Column::text("status", "varchar(64)", "ACTIVE or INACTIVE"),
    Column::time("start_service_time", "when it was started, UTC").or_null(),
    Column::time("stop_time", "NULL: none can be told to stop").or_null(),
    Column::time("block_migrate_in_time", "NULL: nothing migrates").or_null(),
    Column::time("create_time", "NULL: when it joined is not kept").or_null(),
    Column::time("modify_time", "when it was last heard of, UTC").or_null(),
    Column::text("build_version", "varchar(256)", "version of HeapQL that it runs"),
    Column::time("last_offline_time", "when an inactive one was last heard of, UTC").or_null(),
];

/// Times that are numbers are microseconds since 1970, 0 for never.
const ALL_SERVER: &[Column] = &[
    Column::time("gmt_create", "NULL: when it joined is not kept").or_null(),
    Column::time("gmt_modified", "when it was last heard of, UTC").or_null(),
    Column::text("svr_ip", "varchar(46)", "address of the server"),
    Column::int("svr_port", "its cluster port; its MySQL port if it has none"),
    Column::int("id", "its place in the order of the addresses"),
    Column::text("zone", "varchar(128)", "zone of the server"),
    Column::int("inner_port", "its MySQL port"),
    Column::int("with_rootserver", "0: there is no root server, all servers are equal"),
    Column::text("status", "varchar(64)", "ACTIVE or INACTIVE"),
    Column::int("block_migrate_in_time", "0: nothing migrates"),
    Column::text("build_version", "varchar(256)", "version of HeapQL that it runs"),
    Column::int("stop_time", "0: none can be told to stop"),
    Column::int("start_service_time", "when it was started, in microseconds since 1970; 0 if that is not known"),
    Column::int("first_sessid", "0"),
    Column::int("with_partition", "1 if it records processes"),
    Column::int(
        "last_offline_time",
        "when an inactive one was last heard of, in microseconds since 1970; 0 if it is active",
    ),
];

pub(crate) fn heapql() -> Arc<dyn SystemTable> {
    let comment = "servers of the cluster, and which of them answer";
    Listed::table("servers", comment, SERVERS, |scope| rows(scope, servers_row))
}

pub(crate) fn oceanbase() -> [Arc<dyn SystemTable>; 2] {
    let comment = "servers of the cluster, with OceanBase's names";
    [
        Listed::table("dba_ob_servers", comment, DBA_OB_SERVERS, |scope| rows(scope, dba_row)),
        Listed::table("__all_server", comment, ALL_SERVER, |scope| rows(scope, all_server_row)),
    ]
}

fn rows(scope: &Scope, row: fn(i64, &ServerLine) -> Vec<Cell>) -> Vec<Vec<Cell>> {
    let lines = match scope.server.cluster() {
        Some(cluster) => cluster.servers(),
        None => vec![alone(&scope.server)],
    };
    (1..).zip(&lines).map(|(id, line)| row(id, line)).collect()
}

fn alone(server: &Server) -> ServerLine {
    let now = SystemTime::now();
    ServerLine {
        address: server.address(),
        zone: ZONE.to_owned(),
        sql_port: server.sql_port(),
        is_active: true,
        last_seen_at: Some(now),
        started_at: now.checked_sub(Duration::from_secs(server.uptime_seconds())),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sources: server.source_count() as u64,
        why: String::new(),
    }
}

fn servers_row(_: i64, line: &ServerLine) -> Vec<Cell> {
    vec![
        ip(line),
        port(line),
        line.zone.as_str().into(),
        i64::from(line.sql_port).into(),
        status(line).into(),
        time(line.last_seen_at),
        time(line.started_at),
        line.version.as_str().into(),
        i64::try_from(line.sources).unwrap_or(i64::MAX).into(),
        line.why.as_str().into(),
    ]
}

fn dba_row(id: i64, line: &ServerLine) -> Vec<Cell> {
    vec![
        ip(line),
        port(line),
        id.into(),
        line.zone.as_str().into(),
        i64::from(line.sql_port).into(),
        "NO".into(),
        status(line).into(),
        time(line.started_at),
        Cell::Null,
        Cell::Null,
        Cell::Null,
        time(line.last_seen_at),
        line.version.as_str().into(),
        time(offline(line)),
    ]
}

fn all_server_row(id: i64, line: &ServerLine) -> Vec<Cell> {
    let number = |at: Option<SystemTime>| Cell::Int(at.map_or(0, micros));
    vec![
        Cell::Null,
        time(line.last_seen_at),
        ip(line),
        port(line),
        id.into(),
        line.zone.as_str().into(),
        i64::from(line.sql_port).into(),
        Cell::Int(0),
        status(line).into(),
        Cell::Int(0),
        line.version.as_str().into(),
        Cell::Int(0),
        number(line.started_at),
        Cell::Int(0),
        i64::from(line.sources > 0).into(),
        number(offline(line)),
    ]
}

fn ip(line: &ServerLine) -> Cell {
    line.address.ip().to_string().into()
}

fn port(line: &ServerLine) -> Cell {
    i64::from(line.address.port()).into()
}

fn status(line: &ServerLine) -> &'static str {
    if line.is_active { "ACTIVE" } else { "INACTIVE" }
}

fn offline(line: &ServerLine) -> Option<SystemTime> {
    line.last_seen_at.filter(|_| !line.is_active)
}

fn time(at: Option<SystemTime>) -> Cell {
    at.map_or(Cell::Null, |at| Cell::Int(micros(at)))
}
