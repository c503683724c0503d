//! `information_schema` as MySQL clients and drivers ask for it: databases, tables and columns, and the tables that a
//! read-only server has nothing to put into. PostgreSQL's drivers find theirs in
//! `postgres_information_schema`.

use std::sync::Arc;

use crate::listed::{Listed, Rows};
use crate::listing::Cell;
use crate::{Column, SystemTable, kind, listed};
use heapql_server::database::{HEAPQL, INFORMATION_SCHEMA, OCEANBASE};

pub(crate) fn tables() -> Vec<Arc<dyn SystemTable>> {
    let table = |name, columns, rows| Listed::table(name, "what MySQL clients ask for", columns, rows);
    let none: Rows = |_| Vec::new();
    vec![
        table("schemata", SCHEMATA, |_| schemata()),
        table("tables", TABLES, |_| table_rows()),
        table("columns", COLUMNS, |_| column_rows()),
        table("views", VIEWS, |_| view_rows()),
        table("statistics", STATISTICS, none),
        table("key_column_usage", KEY_COLUMN_USAGE, none),
        table("table_constraints", TABLE_CONSTRAINTS, none),
        table("referential_constraints", REFERENTIAL_CONSTRAINTS, none),
        table("routines", ROUTINES, none),
        table("parameters", PARAMETERS, none),
        table("triggers", TRIGGERS, none),
        table("events", EVENTS, none),
    ]
}

const NAME: &str = "varchar(64)";
const LONG: &str = "varchar(4096)";

const fn name(column: &'static str) -> Column {
    Column::text(column, NAME, "")
}

const SCHEMATA: &[Column] = &[
    name("catalog_name"),
    name("schema_name"),
    name("default_character_set_name"),
    name("default_collation_name"),
    name("sql_path").or_null(),
];

const TABLES: &[Column] = &[
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    name("table_type"),
    name("engine").or_null(),
    Column::int("version", "").or_null(),
    name("row_format").or_null(),
    Column::int("table_rows", "").or_null(),
    Column::int("avg_row_length", "").or_null(),
    Column::int("data_length", "").or_null(),
    Column::int("max_data_length", "").or_null(),
    Column::int("index_length", "").or_null(),
    Column::int("data_free", "").or_null(),
    Column::int("auto_increment", "").or_null(),
    Column::time("create_time", "").or_null(),
    Column::time("update_time", "").or_null(),
    Column::time("check_time", "").or_null(),
    name("table_collation").or_null(),
    Column::int("checksum", "").or_null(),
    name("create_options").or_null(),
    Column::text("table_comment", LONG, ""),
];

const COLUMNS: &[Column] = &[
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    name("column_name"),
    Column::int("ordinal_position", ""),
    Column::text("column_default", LONG, "").or_null(),
    name("is_nullable"),
    name("data_type"),
    Column::int("character_maximum_length", "").or_null(),
    Column::int("character_octet_length", "").or_null(),
    Column::int("numeric_precision", "").or_null(),
    Column::int("numeric_scale", "").or_null(),
    Column::int("datetime_precision", "").or_null(),
    name("character_set_name").or_null(),
    name("collation_name").or_null(),
    Column::text("column_type", LONG, ""),
    name("column_key"),
    name("extra"),
    name("privileges"),
    Column::text("column_comment", LONG, ""),
    Column::text("generation_expression", LONG, ""),
];

const VIEWS: &[Column] = &[
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    Column::text("view_definition", LONG, ""),
    name("check_option"),
    name("is_updatable"),
    name("definer"),
    name("security_type"),
];

const STATISTICS: &[Column] = &[
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    Column::int("non_unique", ""),
    name("index_schema"),
    name("index_name"),
    Column::int("seq_in_index", ""),
    name("column_name"),
    name("collation"),
    Column::int("cardinality", ""),
    Column::int("sub_part", ""),
    name("packed"),
    name("nullable"),
    name("index_type"),
    name("comment"),
    name("index_comment"),
];

const KEY_COLUMN_USAGE: &[Column] = &[
    name("constraint_catalog"),
    name("constraint_schema"),
    name("constraint_name"),
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    name("column_name"),
    Column::int("ordinal_position", ""),
    Column::int("position_in_unique_constraint", ""),
    name("referenced_table_schema"),
    name("referenced_table_name"),
    name("referenced_column_name"),
];

const TABLE_CONSTRAINTS: &[Column] = &[
    name("constraint_catalog"),
    name("constraint_schema"),
    name("constraint_name"),
    name("table_schema"),
    name("table_name"),
    name("constraint_type"),
];

const REFERENTIAL_CONSTRAINTS: &[Column] = &[
    name("constraint_catalog"),
    name("constraint_schema"),
    name("constraint_name"),
    name("unique_constraint_catalog"),
    name("unique_constraint_schema"),
    name("unique_constraint_name"),
    name("match_option"),
    name("update_rule"),
    name("delete_rule"),
    name("table_name"),
    name("referenced_table_name"),
];

const ROUTINES: &[Column] = &[
    name("specific_name"),
    name("routine_catalog"),
    name("routine_schema"),
    name("routine_name"),
    name("routine_type"),
    name("data_type"),
    Column::text("routine_definition", LONG, ""),
    Column::text("routine_comment", LONG, ""),
];

const PARAMETERS: &[Column] = &[
    name("specific_catalog"),
    name("specific_schema"),
    name("specific_name"),
    Column::int("ordinal_position", ""),
    name("parameter_mode"),
    name("parameter_name"),
    name("data_type"),
    name("routine_type"),
];

const TRIGGERS: &[Column] = &[
    name("trigger_catalog"),
    name("trigger_schema"),
    name("trigger_name"),
    name("event_manipulation"),
    name("event_object_schema"),
    name("event_object_table"),
    Column::text("action_statement", LONG, ""),
    name("action_timing"),
];

const EVENTS: &[Column] =
    &[name("event_catalog"), name("event_schema"), name("event_name"), name("event_type"), name("status")];

fn schemata() -> Vec<Vec<Cell>> {
    let row = |database: &str| -> Vec<Cell> {
        vec!["def".into(), database.into(), "utf8mb4".into(), "utf8mb4_general_ci".into(), Cell::Null]
    };
    [HEAPQL, INFORMATION_SCHEMA, OCEANBASE].map(row).into()
}

fn every_table() -> impl Iterator<Item = (&'static str, &'static Arc<dyn SystemTable>)> {
    [HEAPQL, INFORMATION_SCHEMA, OCEANBASE]
        .into_iter()
        .flat_map(|database| listed(database).into_iter().flatten().map(move |table| (database, table)))
}

fn table_rows() -> Vec<Vec<Cell>> {
    let row = |(database, table): (&'static str, &Arc<dyn SystemTable>)| {
        let mut row: Vec<Cell> = vec!["def".into(), database.into(), table.name().into()];
        row.push(kind(database, table).into());
        row.push("HEAPQL".into());
        row.extend(std::iter::repeat_n(Cell::Null, TABLES.len() - row.len() - 1));
        row.push(table.comment().into());
        row
    };
    every_table().map(row).collect()
}

fn view_rows() -> Vec<Vec<Cell>> {
    let row = |(database, table): (&'static str, &Arc<dyn SystemTable>)| -> Option<Vec<Cell>> {
        let query = table.definition()?;
        let rest = ["NONE", "NO", "root@%", "DEFINER"].map(Cell::from);
        let mut row: Vec<Cell> = vec!["def".into(), database.into(), table.name().into(), query.into()];
        row.extend(rest);
        Some(row)
    };
    every_table().filter_map(row).collect()
}

fn column_rows() -> Vec<Vec<Cell>> {
    let of_table = |(database, table): (&'static str, &Arc<dyn SystemTable>)| {
        let name = table.name();
        let row = move |(index, column): (usize, &Column)| column_row(database, name, index, column);
        table.columns().iter().enumerate().map(row).collect::<Vec<_>>()
    };
    every_table().flat_map(of_table).collect()
}

fn column_row(database: &str, table: &str, index: usize, column: &Column) -> Vec<Cell> {
    let (data_type, size) = column.mysql_type.split_once('(').unwrap_or((column.mysql_type, ""));
    let size: i64 = size.trim_end_matches(')').parse().unwrap_or_default();
    let only = |kind: &str, value: i64| {
        if data_type == kind { Cell::Int(value) } else { Cell::Null }
    };
    let text = |value: &str| {
        if data_type == "varchar" { value.into() } else { Cell::Null }
    };
    vec![
        "def".into(),
        database.into(),
        table.into(),
        column.name.into(),
        Cell::Int(i64::try_from(index).unwrap_or_default() + 1),
        Cell::Null,
        if column.nullable { "YES" } else { "NO" }.into(),
        data_type.into(),
        only("varchar", size),
        only("varchar", size * 4),
        only("bigint", 19),
        only("bigint", 0),
        only("datetime", size),
        text("utf8mb4"),
        text("utf8mb4_general_ci"),
        column.mysql_type.into(),
        "".into(),
        "".into(),
        "select".into(),
        column.comment.into(),
        "".into(),
    ]
}
