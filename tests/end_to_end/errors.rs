//! The table of errors: number, SQLSTATE and leading words on both protocols, with the bad value, the range and a hint.

use std::sync::Arc;

use crate::harness::{Client, Launch, Server, SqlError, scratch};

const MIN: &str = "_min_malloc_sample_interval";

fn served() -> Server {
    Launch::serve(&Arc::new(scratch())).start()
}

/// The error that refuses a statement: MySQL's number and state, PostgreSQL's state, and words of the message.
struct Case<'a> {
    sql: String,
    number: u16,
    state: &'a str,
    postgres: &'a str,
    words: Vec<&'a str>,
}

fn assert_cases(cases: &[Case]) {
    let server = served();
    for mut client in server.clients() {
        for case in cases {
            let error = client.refused(&case.sql);
            assert_code(client.protocol(), case, &error);
            let text = format!("{} {}", error.message, error.hint);
            for word in &case.words {
                assert!(text.contains(word), "{}: {}: {word:?} in {text:?}", client.protocol(), case.sql);
            }
        }
        client.assert_alive();
    }
}

fn assert_code(protocol: &str, case: &Case, error: &SqlError) {
    if protocol == "mysql" {
        assert_eq!((error.number, error.state.as_str()), (Some(case.number), case.state), "{}: {error}", case.sql);
    } else {
        assert_eq!(error.state, case.postgres, "{}: {error}", case.sql);
    }
}

#[test]
fn values_out_of_range_or_not_integers() {
    let bad = |literal: &'static str| Case {
        sql: format!("ALTER SYSTEM SET {MIN} = {literal}"),
        number: 4147,
        state: "HY000",
        postgres: "22023",
        words: vec!["Invalid config", "[1, 10000]", MIN, literal.trim_matches('\'')],
    };
    let literals =
        ["0", "10001", "-1", "99999999999999999999", "16.5", "'16.5'", "'1e3'", "'abc'", "''", "'0x2711'", "' '"];
    assert_cases(&literals.map(bad));
}

#[test]
fn unknown_parameters() {
    let case = |sql: String, name: &'static str| Case {
        sql,
        number: 5099,
        state: "42000",
        postgres: "42704",
        words: vec!["System config unknown", name],
    };
    assert_cases(&[
        case("ALTER SYSTEM SET no_such_parameter = 1".to_owned(), "no_such_parameter"),
        case("ALTER SYSTEM SET _min_malloc_sample_intervall = 1".to_owned(), "_min_malloc_sample_intervall"),
        // A cluster parameter does not belong to a tenant.
        case(format!("ALTER SYSTEM SET {MIN} = 16 TENANT = sys"), MIN),
        case(format!("ALTER SYSTEM SET {MIN} = 16 TENANT = 't1'"), MIN),
    ]);
}

#[test]
fn unknown_servers_and_zones() {
    let case = |scope: &'static str, what: &'static str, name: &'static str| Case {
        sql: format!("ALTER SYSTEM SET {MIN} = 16 {scope}"),
        number: 1210,
        state: "HY000",
        postgres: "22023",
        words: vec!["Incorrect arguments to", what, name],
    };
    assert_cases(&[
        case("SERVER = '10.0.0.1:2882'", "server", "10.0.0.1:2882"),
        case("SERVER = 'nonsense'", "server", "nonsense"),
        case("ZONE = 'zone9'", "zone", "zone9"),
    ]);
}

#[test]
fn mistakes_in_queries() {
    let case = |sql: &str, number, state, postgres, words: &[&'static str]| Case {
        sql: sql.to_owned(),
        number,
        state,
        postgres,
        words: words.to_vec(),
    };
    assert_cases(&[
        case("SELEC 1", 1064, "42000", "42601", &["SELEC"]),
        case("SELECT * FROM", 1064, "42000", "42601", &[]),
        case("ALTER SYSTEM", 1064, "42000", "42601", &[]),
        case("ALTER SYSTEM SET", 1064, "42000", "42601", &[]),
        case("ALTER SYSTEM SET x", 1064, "42000", "42601", &[]),
        case("SELECT * FROM no_such_table", 1146, "42S02", "42P01", &["no_such_table"]),
        case("SELECT * FROM oceanbase.no_such_table", 1146, "42S02", "42P01", &["no_such_table"]),
        case(
            "SELECT no_such_column FROM __all_virtual_malloc_sample_info",
            1054,
            "42S22",
            "42703",
            &["no_such_column"],
        ),
    ]);
}

#[test]
fn mysql_clients_know_unknown_databases() {
    let server = served();
    let mut client = server.mysql();
    let error = client.refused("USE no_such_database");
    assert_eq!((error.number, error.state.as_str()), (Some(1049), "42000"));
    assert!(error.message.contains("Unknown database 'no_such_database'"), "{error}");
    client.query("USE heapql");
    assert_eq!(client.query("SELECT database()").value(), "heapql");
    client.query("USE oceanbase");
    client.assert_alive();
}

#[test]
fn division_by_zero_is_an_answer_or_an_error_and_never_the_end() {
    let server = served();
    for mut client in server.clients() {
        // MySQL answers NULL; what matters is that the connection lives on.
        let _ = client.try_query("SELECT 1 / 0");
        let _ = client.try_query("SELECT CAST('abc' AS BIGINT)");
        let _ = client.try_query("SELECT repeat('x', 1000000000000)");
        client.assert_alive();
    }
}
