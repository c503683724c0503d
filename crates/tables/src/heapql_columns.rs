//! `information_schema.heapql_columns`: every column of every table and view, with all facts. The tables of both information
//! schemas, MySQL's and PostgreSQL's, are views over it (`sql/information_schema/mysql.sql` and
//! `sql/information_schema/postgres.sql`).

use std::sync::Arc;

use heapql_server::database::{HEAPQL, INFORMATION_SCHEMA, OCEANBASE};

use crate::column::{Column, ColumnKind};
use crate::databases::{kind, listed};
use crate::typed_column::TypedColumn;
use crate::typed_table::{Chunks, Reading, TypedTable};

#[derive(Debug)]
pub(crate) struct HeapqlColumns;

/// One column of one table.
pub(crate) struct Row {
    catalog: Arc<str>,
    database: &'static str,
    table: &'static str,
    table_type: &'static str,
    table_comment: &'static str,
    definition: Option<&'static str>,
    position: i64,
    column: Column,
}

impl Row {
    /// The length in a MySQL type, such as 46 in `varchar(46)`.
    fn length(&self) -> Option<i64> {
        self.column.mysql_type.split_once('(')?.1.trim_end_matches(')').parse().ok()
    }
}

impl TypedTable for HeapqlColumns {
    type Row = Row;

    const COLUMNS: &'static [TypedColumn<Row>] = &[
        TypedColumn::text("catalog_name", "varchar(64)", "what holds the databases", |row| &row.catalog),
        TypedColumn::text("table_schema", "varchar(64)", "database of the table", |row| row.database),
        TypedColumn::text("table_name", "varchar(64)", "name of the table", |row| row.table),
        TypedColumn::text("table_type", "varchar(64)", "BASE TABLE, VIEW or SYSTEM VIEW", |row| row.table_type),
        TypedColumn::text("table_comment", "varchar(4096)", "what the table holds", |row| row.table_comment),
        TypedColumn::text_or_null("view_definition", "varchar(65535)", "the query of a view", |row| row.definition),
        TypedColumn::text("column_name", "varchar(64)", "name of the column", |row| row.column.name),
        TypedColumn::int("ordinal_position", "place of the column, from 1", |row| row.position),
        TypedColumn::text("kind", "varchar(16)", "text, int, float, bool or time", |row| match row.column.kind {
            ColumnKind::Text => "text",
            ColumnKind::Int => "int",
            ColumnKind::Float => "float",
            ColumnKind::Bool => "bool",
            ColumnKind::Time => "time",
        }),
        TypedColumn::text("mysql_type", "varchar(64)", "type that MySQL clients see", |row| row.column.mysql_type),
        TypedColumn::text("mysql_type_name", "varchar(64)", "that type without its length", |row| {
            row.column.mysql_type.split('(').next().unwrap_or_default()
        }),
        TypedColumn::int_or_null("mysql_type_length", "the length in that type", Row::length),
        TypedColumn::bool("is_nullable", "whether a value may be NULL", |row| row.column.nullable),
        TypedColumn::text("unit", "varchar(16)", "unit of the numbers, empty for none", |row| row.column.unit.name()),
        TypedColumn::text("column_comment", "varchar(4096)", "what the column holds", |row| row.column.comment),
    ];

    fn name(&self) -> &'static str {
        "heapql_columns"
    }

    fn comment(&self) -> &'static str {
        "every column of every table, with its unit"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn rows(&self, reading: &Reading<Row>) -> Chunks<Row> {
        let catalog: Arc<str> = reading.catalog().into();
        Box::new([HEAPQL, INFORMATION_SCHEMA, OCEANBASE].into_iter().map(move |database| rows(&catalog, database)))
    }
}

fn rows(catalog: &Arc<str>, database: &'static str) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in listed(database).into_iter().flatten() {
        for (position, column) in (1..).zip(table.columns()) {
            rows.push(Row {
                catalog: Arc::clone(catalog),
                database,
                table: table.name(),
                table_type: kind(database, table),
                table_comment: table.comment(),
                // A view of the information schema is a table to its readers.
                definition: table.definition().filter(|_| database != INFORMATION_SCHEMA),
                position,
                column,
            });
        }
    }
    rows
}
