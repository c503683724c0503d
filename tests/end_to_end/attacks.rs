//! Short statements that would take the server's stack, its memory or its time. Each is refused or answered, and the next one is answered.

use std::sync::Arc;

use crate::harness::{Client, Launch, scratch};

fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
    format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
}

fn doubled(levels: usize) -> String {
    let levels: String = (1..=levels)
        .map(|level| format!(", a{level} AS (SELECT * FROM a{0} UNION ALL SELECT * FROM a{0})", level - 1))
        .collect();
    format!("WITH a0 AS (SELECT 1 AS x){levels} SELECT count(*) FROM ")
}

/// Statements that recursion of a parser or a planner would not come back from.
fn deep(depth: usize) -> Vec<String> {
    vec![
        nested("INTERVAL ", "'1' DAY", "", depth).replacen("INTERVAL", "SELECT INTERVAL", 1),
        format!(
            "SELECT * FROM JSON_TABLE('[]', '$' COLUMNS({})) t",
            nested("NESTED PATH '$' COLUMNS(", "a INT PATH '$'", ")", depth)
        ),
        format!("SELECT now(){}", " AT TIME ZONE 'UTC'".repeat(depth)),
        format!("SELECT * FROM processes{}", " PIVOT(sum(pid) FOR pid IN (1))".repeat(depth)),
        format!("SELECT {}", nested("(", "1", ")", depth)),
        format!("SELECT {}1", "NOT ".repeat(depth)),
        format!("SELECT {}1", "- ".repeat(depth)),
        format!("SELECT 1{}", " IS NULL".repeat(depth)),
        format!("SELECT {}", nested("CASE WHEN true THEN ", "1", " END", depth)),
        format!("SELECT CAST(1 AS {})", nested("ARRAY<", "INT", ">", depth)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(depth)),
        format!("{}SELECT 1", "EXPLAIN ".repeat(depth)),
    ]
}

#[test]
fn no_statement_overflows_the_stack() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    let clients: [&mut dyn Client; 2] = [&mut server.mysql(), &mut server.postgres()];
    for client in clients {
        for depth in [932, 20_000] {
            for sql in deep(depth) {
                // What can be answered is; refusals differ in their reasons.
                let _ = client.try_query(&sql);
                client.assert_alive();
            }
        }
    }
}

#[test]
fn plans_do_not_grow_beyond_all_bounds() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    let (mut mysql, mut postgres) = (server.mysql(), server.postgres());
    let mut both = |sql: &str, part: &str| {
        let (one, two) = (mysql.refused(sql), postgres.refused(sql));
        assert!(one.message.contains(part) && two.message.contains(part), "{one} | {two}");
        mysql.assert_alive();
        postgres.assert_alive();
    };
    both(&(doubled(40) + "a40"), "at most 1000");
    both(&(doubled(9) + "a9, a9 AS b"), "at most 1000");
    both(&nested("SELECT (", "SELECT 1", ")", 40), "nest deeper than 12");
    both(&nested("SELECT 1 WHERE EXISTS (", "SELECT 1", ")", 60), "nest deeper than 12");
    let count = mysql.query(&(doubled(6) + "a6"));
    assert_eq!(count.column("count(*)"), ["64"]);
    let nested = mysql.query(&nested("SELECT (", "SELECT 1", ")", 8));
    assert_eq!(nested.rows, [["1"]]);
}

#[test]
fn no_function_makes_more_than_its_ceiling() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    let (mut mysql, mut postgres) = (server.mysql(), server.postgres());
    for made in [
        "length(repeat('x', 2000000000))",
        "length(repeat('xxxxxxxxxx', 10000000))",
        "length(lpad('x', 2000000000, 'y'))",
        "length(rpad('x', 2000000000, 'y'))",
        "array_length(array_repeat(1, 500000000))",
        "array_length(array_resize(make_array(1), 500000000, 0))",
        "array_length(range(1, 500000000))",
        "array_length(range(500000000))",
        "array_length(generate_series(500000000, 1, -1))",
        "array_length(generate_series(TIMESTAMP '2020-01-01', TIMESTAMP '2021-01-01', INTERVAL '1' MILLISECOND))",
    ] {
        for client in [&mut mysql as &mut dyn Client, &mut postgres] {
            let error = client.refused(&format!("SELECT {made}"));
            assert!(error.message.contains("67108864"), "{made}: {error}");
            client.assert_alive();
        }
    }
    for (made, expected) in [
        ("length(repeat('xy', 1000000))", "2000000"),
        ("length(lpad('x', 1000000, 'y'))", "1000000"),
        ("array_length(array_repeat(1, 1000000))", "1000000"),
        ("array_length(range(1, 1000001))", "1000000"),
        ("array_length(generate_series(DATE '2020-01-01', DATE '2030-01-01', INTERVAL '1' DAY))", "3654"),
    ] {
        for client in [&mut mysql as &mut dyn Client, &mut postgres] {
            assert_eq!(client.query(&format!("SELECT {made} AS made")).column("made"), [expected], "{made}");
        }
    }
}
