//! Nothing that a client says writes, reads files of the host, or changes the engine.

use std::path::Path;
use std::sync::Arc;

use crate::harness::{Client, Launch, Server, scratch};

const TABLE: &str = "__all_virtual_malloc_sample_info";

fn served() -> Server {
    Launch::serve(&Arc::new(scratch())).start()
}

/// The kinds of refusals: read-only, syntax, unsupported, no such table, no privilege, unknown variable.
fn assert_refused(client: &mut dyn Client, sql: &str) {
    let error = client.refused(sql);
    let known = match error.number {
        Some(number) => [1290, 1064, 1235, 1146, 1227, 1193, 1105, 1305].contains(&number),
        None => {
            ["25006", "42601", "0A000", "42P01", "42501", "42704", "22000", "42883"].contains(&error.state.as_str())
        }
    };
    assert!(known, "{}: {sql}: {error}", client.protocol());
    assert!(!error.message.is_empty(), "{sql}");
}

fn read_only(client: &mut dyn Client, sql: &str) {
    let error = client.refused(sql);
    match error.number {
        Some(number) => assert_eq!(number, 1290, "{sql}: {error}"),
        None => assert_eq!(error.state, "25006", "{sql}: {error}"),
    }
    assert!(error.message.contains("read-only"), "{sql}: {error}");
}

#[test]
fn statements_that_write_are_refused() {
    let server = served();
    let statements = [
        "CREATE TABLE t (a INT)".to_owned(),
        "CREATE TABLE t AS SELECT 1 AS a".to_owned(),
        "CREATE VIEW v AS SELECT 1 AS a".to_owned(),
        format!("CREATE OR REPLACE VIEW {TABLE} AS SELECT 1 AS a"),
        "CREATE DATABASE d".to_owned(),
        "CREATE SCHEMA d".to_owned(),
        format!("DROP TABLE {TABLE}"),
        "DROP DATABASE oceanbase".to_owned(),
        "DROP SCHEMA oceanbase CASCADE".to_owned(),
        format!("INSERT INTO {TABLE} VALUES (1)"),
        format!("UPDATE {TABLE} SET alloc_count = 0"),
        format!("DELETE FROM {TABLE}"),
        format!("TRUNCATE TABLE {TABLE}"),
        format!("ALTER TABLE {TABLE} ADD COLUMN x INT"),
    ];
    for mut client in server.clients() {
        for sql in &statements {
            read_only(client.as_mut(), sql);
        }
        assert_eq!(
            client.query(&format!("SELECT * FROM {TABLE} LIMIT 0")).columns.len(),
            9,
            "the table is still there"
        );
        client.assert_alive();
    }
}

#[test]
fn files_of_the_host_are_neither_written_nor_read() {
    let server = served();
    let target = server.home().path().join("written-by-sql");
    let path = target.display();
    let statements = [
        format!("COPY (SELECT 1) TO '{path}'"),
        format!("COPY (SELECT 1) TO '{path}' STORED AS CSV"),
        format!("COPY {TABLE} TO '{path}' STORED AS PARQUET"),
        format!("COPY {TABLE} FROM '/etc/passwd'"),
        format!("SELECT * FROM {TABLE} INTO OUTFILE '{path}'"),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{path}'"),
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM `/etc/passwd`".to_owned(),
        "SELECT * FROM \"/etc/passwd\"".to_owned(),
        "SELECT * FROM 'file:///etc/passwd'".to_owned(),
        "SELECT * FROM read_csv('/etc/passwd')".to_owned(),
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE t".to_owned(),
    ];
    for mut client in server.clients() {
        for sql in &statements {
            assert_refused(client.as_mut(), sql);
            assert!(!target.exists(), "{sql} left a file");
        }
        // MySQL's function answers NULL where it may not read; ours may not exist at all.
        if let Ok(answer) = client.try_query("SELECT load_file('/etc/passwd')") {
            assert_eq!(answer.value(), "NULL");
        }
        client.assert_alive();
    }
    assert!(!Path::new("written-by-sql").exists());
}

#[test]
fn options_of_the_engine_are_refused() {
    let server = served();
    let statements = [
        "SET datafusion.execution.batch_size = 1",
        "SET datafusion.catalog.location = '/etc'",
        "SET datafusion.catalog.information_schema = false",
        "SET datafusion.runtime.memory_limit = '1G'",
        "RESET datafusion.execution.batch_size",
        "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1 AS a",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/nonexistent/x'",
        "PREPARE p AS CREATE TABLE t AS SELECT 1 AS a",
    ];
    for mut client in server.clients() {
        for sql in statements {
            assert_refused(client.as_mut(), sql);
        }
        assert!(client.try_query("SELECT * FROM t").is_err(), "nothing was created");
        client.assert_alive();
    }
}

#[test]
fn a_second_statement_is_checked_like_the_first() {
    let server = served();
    for mut client in server.clients() {
        assert!(client.try_query(&format!("SELECT 1; DROP TABLE {TABLE}")).is_err(), "{}", client.protocol());
        client.assert_alive();
        client.query(&format!("SELECT * FROM {TABLE} LIMIT 0"));
    }
}

#[test]
fn writes_are_refused_when_prepared_as_well() {
    let server = served();
    for sql in ["CREATE TABLE t AS SELECT 1 AS a", "COPY (SELECT 1) TO '/nonexistent/x'", "DELETE FROM t"] {
        assert!(server.mysql().execute(sql, Vec::new()).is_err(), "{sql}");
        assert!(server.postgres().execute(sql, &[]).is_err(), "{sql}");
    }
}

#[test]
fn settings_of_one_session_are_not_anothers() {
    let server = served();
    let mut first = server.postgres();
    first.query("SET application_name = 'mine'");
    assert_eq!(first.query("SHOW application_name").value(), "mine");
    assert_ne!(server.postgres().query("SHOW application_name").value(), "mine");
    let mut first = server.mysql();
    first.query("SET @mine = 5");
    assert_eq!(first.query("SELECT @mine").value(), "5");
    assert_eq!(server.mysql().query("SELECT @mine").value(), "NULL");
}

#[test]
fn what_is_ignored_is_warned_of() {
    let server = served();
    for (mut client, sql) in
        server.clients().into_iter().zip(["SET SESSION no_such_variable = 1", "SET no_such_setting = 1"])
    {
        match client.try_query(sql) {
            Ok(_) => {
                let warnings = client.warnings();
                assert!(warnings.iter().any(|warning| warning.contains("no_such_")), "{sql}: {warnings:?}");
            }
            Err(error) => assert!(error.number == Some(1193) || error.state == "42704", "{sql}: {error}"),
        }
    }
}
