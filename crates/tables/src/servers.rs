//! `heapql.servers`, and `oceanbase.dba_ob_servers` and `__all_server`, which have the names and types of OceanBase: who
//! belongs to the cluster and answers. A server alone shows itself.
//!
//! The rows are what this server knows (`Cluster::servers`), all others included; nobody is asked.

use std::time::{Duration, SystemTime};

use heapql_server::Server;
use heapql_server::cluster::ServerLine;
use heapql_server::parameters::ZONE;

use crate::typed_column::{TypedColumn, micros};
use crate::typed_table::{Chunks, Reading, TypedTable};

/// The columns of this table.
type Column = TypedColumn<Row>;

/// `heapql.servers`.
#[derive(Debug)]
pub(crate) struct Servers;

/// `oceanbase.dba_ob_servers`.
#[derive(Debug)]
pub(crate) struct DbaObServers;

/// `oceanbase.__all_server`, where times that are numbers are microseconds since 1970, 0 for never.
#[derive(Debug)]
pub(crate) struct AllServer;

/// A server as the three tables show it.
pub(crate) struct Row {
    /// Its place in the order of the addresses.
    id: i64,
    ip: String,
    line: ServerLine,
}

impl Row {
    fn port(&self) -> i64 {
        self.line.address.port().into()
    }

    fn status(&self) -> &'static str {
        if self.line.is_active { "ACTIVE" } else { "INACTIVE" }
    }

    /// When an inactive one was last heard of.
    fn offline(&self) -> Option<SystemTime> {
        self.line.last_seen_at.filter(|_| !self.line.is_active)
    }
}

// A server's own address is a fact of its row here: these rows are about all servers.
const SVR_IP: Column = Column::text("svr_ip", "varchar(46)", "address of the server", |row| &row.ip);
const SVR_PORT: Column = Column::int("svr_port", "its cluster port; its MySQL port if it has none", Row::port);
const ID: Column = Column::int("id", "its place in the order of the addresses", |row| row.id);
const ZONE_OF: Column = Column::text("zone", "varchar(128)", "zone of the server", |row| &row.line.zone);
const STATUS: Column = Column::text("status", "varchar(64)", "ACTIVE or INACTIVE", Row::status);
const BUILD_VERSION: Column =
    Column::text("build_version", "varchar(256)", "version of HeapQL that it runs", |row| &row.line.version);

impl TypedTable for Servers {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        SVR_IP,
        SVR_PORT,
        ZONE_OF,
        Column::int("sql_port", "its MySQL port; 0 if it has none, or has not been heard of yet", |row| {
            row.line.sql_port.into()
        }),
        Column::text("status", "varchar(64)", "ACTIVE, or INACTIVE: queries do without it, and say so", Row::status),
        Column::time_or_null("last_seen_at", "when it was last heard of, UTC", |row| row.line.last_seen_at),
        Column::time_or_null("started_at", "when it was started, UTC", |row| row.line.started_at),
        Column::text("version", "varchar(256)", "version of HeapQL that it runs", |row| &row.line.version),
        Column::int("process_count", "recorded processes, itself included, dead ones too", |row| {
            i64::try_from(row.line.sources).unwrap_or(i64::MAX)
        }),
        Column::text("why", "varchar(4096)", "why it is not active; empty if it is", |row| &row.line.why),
    ];

    fn name(&self) -> &'static str {
        "servers"
    }

    fn comment(&self) -> &'static str {
        "servers of the cluster, and which of them answer"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        rows(reading)
    }
}

impl TypedTable for DbaObServers {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        SVR_IP,
        SVR_PORT,
        ID,
        ZONE_OF,
        Column::int("sql_port", "its MySQL port", |row| row.line.sql_port.into()),
        Column::text("with_rootserver", "varchar(3)", "NO: there is no root server, all servers are equal", |_| "NO"),
        STATUS,
        Column::time_or_null("start_service_time", "when it was started, UTC", |row| row.line.started_at),
        Column::time_or_null("stop_time", "NULL: none can be told to stop", |_| None),
        Column::time_or_null("block_migrate_in_time", "NULL: nothing migrates", |_| None),
        Column::time_or_null("create_time", "NULL: when it joined is not kept", |_| None),
        Column::time_or_null("modify_time", "when it was last heard of, UTC", |row| row.line.last_seen_at),
        BUILD_VERSION,
        Column::time_or_null("last_offline_time", "when an inactive one was last heard of, UTC", Row::offline),
    ];

    fn name(&self) -> &'static str {
        "dba_ob_servers"
    }

    fn comment(&self) -> &'static str {
        "servers of the cluster, with OceanBase's names"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        rows(reading)
    }
}

impl TypedTable for AllServer {
    type Row = Row;

    const COLUMNS: &'static [Column] = &[
        Column::time_or_null("gmt_create", "NULL: when it joined is not kept", |_| None),
        Column::time_or_null("gmt_modified", "when it was last heard of, UTC", |row| row.line.last_seen_at),
        SVR_IP,
        SVR_PORT,
        ID,
        ZONE_OF,
        Column::int("inner_port", "its MySQL port", |row| row.line.sql_port.into()),
        Column::int("with_rootserver", "0: there is no root server, all servers are equal", |_| 0),
        STATUS,
        Column::int("block_migrate_in_time", "0: nothing migrates", |_| 0),
        BUILD_VERSION,
        Column::int("stop_time", "0: none can be told to stop", |_| 0),
        Column::int(
            "start_service_time",
            "when it was started, in microseconds since 1970; 0 if that is not known",
            |row| row.line.started_at.map_or(0, micros),
        ),
        Column::int("first_sessid", "0", |_| 0),
        Column::int("with_partition", "1 if it records processes", |row| i64::from(row.line.sources > 0)),
        Column::int(
            "last_offline_time",
            "when an inactive one was last heard of, in microseconds since 1970; 0 if it is active",
            |row| row.offline().map_or(0, micros),
        ),
    ];

    fn name(&self) -> &'static str {
        "__all_server"
    }

    fn comment(&self) -> &'static str {
        "servers of the cluster, with OceanBase's names"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        rows(reading)
    }
}

fn rows(reading: &Reading<Row>) -> Chunks<Row> {
    let visible = reading.visible();
    let server = visible.server();
    let lines = server.cluster().map_or_else(|| vec![alone(server)], |cluster| cluster.servers());
    let row = |(id, line): (i64, ServerLine)| Row { id, ip: line.address.ip().to_string(), line };
    Box::new(std::iter::once((1..).zip(lines).map(row).collect()))
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
