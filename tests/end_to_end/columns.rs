//! The documented table has its nine columns, as OceanBase has them, on both protocols.

use std::process::Command;

use crate::harness::{Client, Launch, Program, Server, tool};

const TABLE: &str = "__all_virtual_malloc_sample_info";

const COLUMNS: [(&str, &str); 9] = [
    ("svr_ip", "varchar(46)"),
    ("svr_port", "bigint(20)"),
    ("tenant_id", "bigint(20)"),
    ("ctx_id", "bigint(20)"),
    ("mod_name", "varchar(256)"),
    ("back_trace", "varchar(4096)"),
    ("ctx_name", "varchar(256)"),
    ("alloc_count", "bigint(20)"),
    ("alloc_bytes", "bigint(20)"),
];

fn names() -> Vec<&'static str> {
    COLUMNS.iter().map(|&(name, _)| name).collect()
}

fn recorded() -> Server {
    let server = Launch::run(Program::new("stacks.c").path(), &[]).intervals(1, 1).start();
    server.ready();
    server
}

#[test]
fn names_and_order_are_the_documented_ones() {
    let server = recorded();
    for mut client in server.clients() {
        assert_eq!(client.query(&format!("SELECT * FROM {TABLE} LIMIT 1")).columns, names());
        assert_eq!(client.query(&format!("SELECT * FROM {TABLE} WHERE 1 = 0")).columns, names());
        assert_eq!(client.query(&format!("SELECT * FROM oceanbase.{TABLE} LIMIT 1")).columns, names());
    }
}

#[test]
fn types_are_varchar_and_bigint() {
    let server = recorded();
    let types = server.postgres().column_types(&format!("SELECT * FROM {TABLE}"));
    for (kind, (name, documented)) in types.iter().zip(COLUMNS) {
        let text = ["varchar", "text"].contains(&kind.as_str());
        assert_eq!(text, documented.starts_with("varchar"), "{name} is {kind}");
        assert!(text || kind == "int8", "{name} is {kind}");
    }
    assert_eq!(types.len(), COLUMNS.len());
}

#[test]
fn desc_and_show_columns_print_what_oceanbase_prints() {
    let server = recorded();
    let mut client = server.mysql();
    let expected: Vec<Vec<&str>> = COLUMNS.iter().map(|&(name, kind)| vec![name, kind, "NO", "", "NULL", ""]).collect();
    let statements = [
        format!("DESC {TABLE}"),
        format!("DESCRIBE oceanbase.{TABLE}"),
        format!("SHOW COLUMNS FROM {TABLE}"),
        format!("SHOW COLUMNS FROM {TABLE} FROM oceanbase"),
        format!("EXPLAIN {TABLE}"),
    ];
    for statement in statements {
        let answer = client.query(&statement);
        assert_eq!(answer.columns, ["Field", "Type", "Null", "Key", "Default", "Extra"], "{statement}");
        assert_eq!(answer.rows, expected, "{statement}");
    }
    assert_eq!(server.postgres().query(&format!("DESC {TABLE}")).column("Field"), names());
}

#[test]
fn psql_describes_the_table() {
    let server = recorded();
    let port = server.endpoints.postgres_port();
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-t", "-h", "127.0.0.1", "-p", port, "-U", "root", "-d", "oceanbase"]);
    let printed = tool(psql.arg("-c").arg(format!("\\d {TABLE}")), "");
    let rows: Vec<Vec<&str>> = printed.ok().lines().map(|line| line.split('|').collect()).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), names(), "{}", printed.stdout);
    for (row, (name, documented)) in rows.iter().zip(COLUMNS) {
        let expected = if documented.starts_with("varchar") { ["character varying", "text"] } else { ["bigint"; 2] };
        assert!(expected.iter().any(|kind| row[1].starts_with(kind)), "{name} is {}", row[1]);
    }
}

#[test]
fn values_are_as_documented() {
    let server = recorded();
    let port = server.endpoints.mysql_port().to_owned();
    for mut client in server.clients() {
        let answer = client.query(&format!("SELECT * FROM {TABLE} WHERE mod_name = 'glibc_malloc'"));
        assert!(!answer.rows.is_empty());
        for row in &answer.rows {
            assert_eq!(row[0], "127.0.0.1");
            assert_eq!(row[1], port, "without a cluster listener the MySQL port");
            assert_eq!(row[2..5], ["500", "22", "glibc_malloc"]);
            assert_back_trace(&row[5]);
            assert_eq!(row[6], "GLIBC");
            let (count, bytes): (i64, i64) = (row[7].parse().expect("a count"), row[8].parse().expect("bytes"));
            assert!(count > 0 && bytes >= 0, "{row:?}");
        }
    }
}

/// Sixteen lower-case hexadecimal numbers, one blank between, zeroes only at the end.
fn assert_back_trace(text: &str) {
    let entries: Vec<&str> = text.split(' ').collect();
    assert_eq!(entries.len(), 16, "{text:?}");
    let used = entries.iter().take_while(|&&entry| entry != "0x0").count();
    assert!(used > 0, "{text:?}");
    assert!(entries[used..].iter().all(|&entry| entry == "0x0"), "{text:?}");
    for entry in &entries[..used] {
        let digits = entry.strip_prefix("0x").unwrap_or_else(|| panic!("{text:?}"));
        assert!(digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{text:?}");
        assert!(!digits.starts_with('0'), "{text:?}");
    }
}

#[test]
fn rows_of_one_stack_are_one_row() {
    let server = recorded();
    let answer = server.postgres().query(&format!(
        "SELECT count(*) AS n FROM (SELECT svr_ip, svr_port, tenant_id, ctx_id, mod_name, back_trace FROM {TABLE} \
         WHERE mod_name = 'glibc_malloc' AND alloc_bytes = 300 * 1237 \
         GROUP BY svr_ip, svr_port, tenant_id, ctx_id, mod_name, back_trace HAVING count(*) > 1) AS twice"
    ));
    assert_eq!(answer.number(), 0);
}

#[test]
fn labels_of_the_environment_are_the_rows_labels() {
    let server = Launch::run(Program::new("stacks.c").path(), &[])
        .intervals(1, 1)
        .env("HEAPQL_LABEL", "a_long_label_that_is_cut")
        .env("HEAPQL_TENANT_ID", "1007")
        .env("HEAPQL_CTX_ID", "3")
        .start();
    server.ready();
    let answer = server.mysql().query(&format!(
        "SELECT tenant_id, ctx_id, ctx_name, mod_name, alloc_count FROM {TABLE} WHERE alloc_bytes = 300 * 1237"
    ));
    assert_eq!(answer.rows, [["1007", "3", "EXECUTE_CTX_ID", "a_long_label_th", "300"]]);
}
