//! The old names of columns: they work for one version, with a note, and are shown nowhere.

use super::ledger::{GLIBC, Recorded};
use super::{Client, House};
use crate::query::RENAMED;

/// The FROM item that reads a table, which may be a function's.
fn source(table: &str) -> String {
    if table == "growth" { "growth('start', 'end')".to_owned() } else { table.to_owned() }
}

async fn recorded() -> (House, Recorded) {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), 4 << 20);
    process.live(&GLIBC, &[0x10, 0x20], 3, 100);
    house.mysql().rows("SELECT mark('start')").await;
    process.live(&GLIBC, &[0x30, 0x20], 2, 500);
    // Until a mark, not until now: the rate a minute must be the same in two statements.
    house.mysql().rows("SELECT mark('end')").await;
    (house, process)
}

fn clients(house: &House) -> [Client; 2] {
    [house.mysql(), house.postgres()]
}

/// The notes about names: a table may have others.
fn notes(client: &Client) -> Vec<String> {
    let warnings = client.session.warnings();
    assert!(warnings.iter().all(|warning| warning.level.name() == "Note"), "{warnings:?}");
    let is_about_a_name = |message: &String| message.contains(" is called ");
    warnings.into_iter().map(|warning| warning.message).filter(is_about_a_name).collect()
}

#[tokio::test]
async fn each_old_name_works_on_its_table() {
    let (house, _process) = recorded().await;
    for client in clients(&house) {
        for renamed in RENAMED {
            let (old, new, upper) = (renamed.old, renamed.new, renamed.old.to_uppercase());
            let quote = if client.session.is_mysql() { '`' } else { '"' };
            for from in renamed.tables.iter().map(|table| source(table)) {
                let expected = client.rows(&format!("SELECT {new} FROM {from} ORDER BY 1")).await;
                assert_eq!(notes(&client), [""; 0]);
                for (written, heading) in [
                    (old.to_owned(), old),
                    (format!("t.{old}"), old),
                    (format!("{quote}{old}{quote}"), old),
                    (format!("t.{upper}"), if client.session.is_mysql() { upper.as_str() } else { old }),
                    (format!("{old} AS mine"), "mine"),
                ] {
                    let text = format!("SELECT {written} FROM {from} AS t ORDER BY 1");
                    let answer = client.ask(&text).await.unwrap_or_else(|failure| panic!("{text}: {failure}"));
                    assert_eq!(answer.headings, [heading], "{text}");
                    assert_eq!(answer.rows, expected, "{text}");
                    let notes = notes(&client);
                    assert!(
                        matches!(notes.as_slice(), [note] if note.contains(old) && note.contains(new)),
                        "{notes:?}"
                    );
                }
                let everywhere = format!(
                    "SELECT {old}, count(*) FROM {from} t WHERE t.{old} IS NOT NULL GROUP BY {old} \
                     HAVING max({old}) IS NOT NULL ORDER BY {old}"
                );
                assert_eq!(
                    client.ask(&everywhere).await.expect(&everywhere).headings,
                    [old, "count(*)"]
                        .map(|text| { if client.session.is_mysql() { text } else { text.trim_end_matches("(*)") } })
                );
            }
        }
    }
}

#[tokio::test]
async fn no_old_name_is_shown() {
    let (house, _process) = recorded().await;
    for client in clients(&house) {
        for renamed in RENAMED {
            for table in renamed.tables {
                let headings = client.ask(&format!("SELECT * FROM {}", source(table))).await.expect("answers").headings;
                assert!(headings.iter().any(|name| name == renamed.new), "{table} {headings:?}");
                assert!(headings.iter().all(|name| name != renamed.old), "{table} {headings:?}");
                let condition = format!("table_name = '{table}' AND column_name = '{}'", renamed.old);
                let listed = format!("SELECT count(*) FROM information_schema.columns WHERE {condition}");
                assert_eq!(client.one(&listed).await, "0", "{listed}");
                if *table != "growth" {
                    let described = client.rows(&format!("DESC {table}")).await;
                    assert!(described.iter().all(|row| row[0] != renamed.old), "{described:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_the_statement_defines_is_not_touched() {
    let (house, _process) = recorded().await;
    for client in clients(&house) {
        for (text, expected) in [
            ("SELECT est_bytes AS self_bytes FROM live_by_label ORDER BY self_bytes", "1300"),
            ("SELECT self_bytes FROM (SELECT 7 AS self_bytes FROM live_by_function LIMIT 1) t", "7"),
            ("SELECT t.self_bytes FROM (SELECT 7) t(self_bytes), live_by_label", "7"),
            ("WITH top AS (SELECT 8 AS flat_bytes) SELECT flat_bytes FROM top", "8"),
            ("WITH c(flat_bytes) AS (SELECT 9) SELECT max(c.flat_bytes) FROM c, top", "9"),
            ("SELECT started_at <= last_seen_at FROM servers", "true"),
            ("SELECT s.started_at <= s.last_seen_at FROM servers s, live_by_process p", "true"),
        ] {
            assert_eq!(client.one(text).await, expected, "{text}");
            assert_eq!(notes(&client), [""; 0], "{text}");
        }
        assert!(client.ask("SELECT flat_bytes FROM live_by_label").await.is_err(), "it never had that name");
    }
}

#[tokio::test]
async fn an_alias_may_be_the_old_name_of_what_it_sums() {
    let (house, _process) = recorded().await;
    for client in clients(&house) {
        for text in [
            "SELECT sum(self_bytes) AS self_bytes FROM live_by_function ORDER BY self_bytes",
            "SELECT sum(self_bytes) AS self_bytes FROM live_by_function HAVING self_bytes > 1",
            "SELECT self_bytes FROM (SELECT sum(self_bytes) AS self_bytes FROM live_by_function) t WHERE self_bytes > 1",
            "SELECT sum(self_bytes) FROM (SELECT self_bytes, state FROM live_by_function) t WHERE t.self_bytes > 1",
            "SELECT sum(t.self_bytes) FROM (SELECT * FROM live_by_function) AS t",
            "SELECT sum(self_bytes) FROM (SELECT f.* FROM live_by_function f, servers) AS t",
            "WITH c AS (SELECT * FROM heapql.live_by_function) SELECT sum(c.self_bytes) FROM c",
            "SELECT sum(self_bytes) FROM (live_by_function CROSS JOIN servers)",
            "SELECT max(whole) FROM (SELECT (SELECT sum(self_bytes) FROM live_by_function) AS whole) t",
            "SELECT self_bytes FROM (SELECT sum(self_bytes) AS self_bytes FROM live_by_function \
             UNION ALL SELECT 1) t ORDER BY self_bytes DESC LIMIT 1",
        ] {
            assert_eq!(client.one(text).await, "1300", "{text}");
            assert_eq!(notes(&client).len(), 1, "{text}");
        }
    }
}
