//! `docs/reference/tables.md`, made of the same facts as DESC. The test fails when the file is stale; with
//! `HEAPQL_WRITE_DOCS=1` it writes the file instead.

use std::fmt::Write;
use std::path::Path;

use heapql_server::database::{HEAPQL, OCEANBASE};

use crate::databases::{kind, listed};
use crate::table::SystemTable;

const HEAD: &str = "# Tables

Every table and view, column by column. This page is generated from the code
(`HEAPQL_WRITE_DOCS=1 cargo test -p heapql-tables reference`): the same words are in `DESC`, `SHOW FULL COLUMNS`, `\\d+` and
both information schemas; `information_schema.heapql_columns` has them as rows.

A column marked *pushed* takes conditions `column = value` into the scan, so that rows without it are not even made.
Raw counts of samples are called `sampled_..`; estimates of all objects are called `est_..` and have an error beside them.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (database, words) in [(HEAPQL, "HeapQL's own"), (OCEANBASE, "OceanBase's names and types")] {
        let _ = write!(page, "\n## {database}: {words}\n");
        for table in listed(database).into_iter().flatten() {
            describe(&mut page, kind(database, table), table.as_ref());
        }
    }
    page
}

fn describe(page: &mut String, kind: &str, table: &dyn SystemTable) {
    let kind = kind.to_lowercase();
    let _ = write!(page, "\n### {}\n\n{} ({kind}).\n\n", table.name(), upper_first(table.comment()));
    page.push_str("| column | type | unit | what it is |\n|---|---|---|---|\n");
    let pushed = table.pushed();
    for column in table.columns() {
        let null = if column.nullable { ", or NULL" } else { "" };
        let pushed = if pushed.contains(&column.name) { " *(pushed)*" } else { "" };
        let comment = column.comment.replace('|', "\\|");
        let _ = writeln!(
            page,
            "| `{}` | {}{null} | {} | {comment}{pushed} |",
            column.name,
            column.mysql_type,
            column.unit.name()
        );
    }
}

fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[test]
fn the_reference_of_tables_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/tables.md");
    if std::env::var_os("HEAPQL_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page(), "docs/reference/tables.md is stale; HEAPQL_WRITE_DOCS=1 writes it");
}

#[test]
fn every_column_of_a_table_is_described_once() {
    for table in [HEAPQL, OCEANBASE].into_iter().flat_map(|database| listed(database).into_iter().flatten()) {
        let columns = table.columns();
        for (index, column) in columns.iter().enumerate() {
            assert!(!column.comment.is_empty(), "{}.{}", table.name(), column.name);
            assert!(
                columns[..index].iter().all(|before| before.name != column.name),
                "{}.{}",
                table.name(),
                column.name
            );
        }
    }
}
