//! The `.slt` files, each over PostgreSQL simple, PostgreSQL extended and MySQL, on one fixed data set.
//!
//! A file says `onlyif mysql` or `skipif postgres` where the protocols differ; `postgres` is both of PostgreSQL's. A name
//! that begins with `mysql_` or `postgres_` means that protocol only.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner, parse_file};

use crate::harness::{
    Answer, Endpoints, Launch, Login, Program, RUNTIME, Server, SqlError, TIMEOUT, connect_mysql, connect_postgres,
    extended_answer, simple_answer, tests_dir, text_answer,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Mysql,
    PostgresSimple,
    PostgresExtended,
}

enum Connection {
    Mysql(mysql_async::Conn),
    Postgres(tokio_postgres::Client),
}

struct Database {
    protocol: Protocol,
    connection: Connection,
}

impl Database {
    async fn connect(endpoints: Arc<Endpoints>, protocol: Protocol) -> Result<Database, SqlError> {
        let connection = match protocol {
            Protocol::Mysql => Connection::Mysql(connect_mysql(&endpoints.mysql, &Login::root()).await?),
            _ => Connection::Postgres(connect_postgres(&endpoints.postgres, &Login::root()).await?.0),
        };
        Ok(Database { protocol, connection })
    }

    async fn answer(&mut self, sql: &str) -> Result<Answer, SqlError> {
        match (&mut self.connection, self.protocol) {
            (Connection::Mysql(conn), _) => text_answer(conn, sql).await,
            (Connection::Postgres(client), Protocol::PostgresSimple) => simple_answer(client, sql).await,
            (Connection::Postgres(client), _) => extended_answer(client, sql, &[]).await,
        }
    }
}

#[async_trait]
impl AsyncDB for Database {
    type Error = SqlError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, SqlError> {
        let answer = tokio::time::timeout(TIMEOUT, self.answer(sql)).await.map_err(SqlError::broken)??;
        if answer.columns.is_empty() {
            return Ok(DBOutput::StatementComplete(answer.affected.unwrap_or(0)));
        }
        // Nothing cannot be written into a file of lines.
        let shown = |value: String| if value.is_empty() { "(empty)".to_owned() } else { value };
        let rows = answer.rows.into_iter().map(|row| row.into_iter().map(shown).collect()).collect();
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; answer.columns.len()], rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        match self.protocol {
            Protocol::Mysql => "mysql",
            Protocol::PostgresSimple => "postgres-simple",
            Protocol::PostgresExtended => "postgres-extended",
        }
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The data set: `fixed.c` in full mode, labelled `slt` of tenant 1001, which nothing else is.
fn recorded() -> Server {
    let program = Program::new("fixed.c").path();
    let program = program.to_str().expect("a path in UTF-8");
    let label = ["HEAPQL_LABEL=slt", "HEAPQL_TENANT_ID=1001", "HEAPQL_CTX_ID=5"];
    let arguments: Vec<&str> = label.into_iter().chain([program]).collect();
    let server = Launch::run("/usr/bin/env", &arguments).intervals(1, 1).start();
    server.ready();
    server
}

/// Runs a file on a server of its own, to its end; the differences.
fn run_file(path: &Path, protocol: Protocol) -> Vec<String> {
    let server = recorded();
    let endpoints = Arc::new(server.endpoints.clone());
    let mut runner = Runner::new(|| Database::connect(endpoints.clone(), protocol));
    if protocol != Protocol::Mysql {
        runner.add_label("postgres");
    }
    let records = parse_file(path).unwrap_or_else(|error| panic!("{error}"));
    let mut run = |record| RUNTIME.block_on(runner.run_async(record)).err();
    records.into_iter().filter_map(&mut run).map(|error| error.display(false).to_string()).collect()
}

/// Whether a file is meant for this protocol.
fn applies(path: &Path, protocol: Protocol) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let other = if protocol == Protocol::Mysql { "postgres_" } else { "mysql_" };
    name.ends_with(".slt") && !name.starts_with(other)
}

/// Every file, so that a new one is run without being listed.
fn run_all(protocol: Protocol) {
    let entries = std::fs::read_dir(tests_dir().join("slt")).expect("tests/slt");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| applies(path, protocol));
    files.sort();
    assert!(!files.is_empty());
    let failed: Vec<String> = files.iter().flat_map(|file| run_file(file, protocol)).collect();
    assert!(failed.is_empty(), "{protocol:?}: {}", failed.join("\n"));
}

#[test]
fn mysql() {
    run_all(Protocol::Mysql);
}

#[test]
fn postgres_simple() {
    run_all(Protocol::PostgresSimple);
}

#[test]
fn postgres_extended() {
    run_all(Protocol::PostgresExtended);
}
