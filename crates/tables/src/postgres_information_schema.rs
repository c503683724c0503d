//! `information_schema` with PostgreSQL's columns and type names, for its drivers and tools.

use std::sync::Arc;

use crate::listed::{Listed, Rows};
use crate::listing::Cell;
use crate::{Column, Kind, Scope, SystemTable, kind, listed};
use heapql_server::database::{HEAPQL, OCEANBASE};

pub(crate) fn tables() -> Vec<Arc<dyn SystemTable>> {
    let table = |name, columns, rows| Listed::table(name, "what PostgreSQL clients ask for", columns, rows);
    let none: Rows = |_| Vec::new();
    vec![
        table("schemata", SCHEMATA, schemata),
        table("tables", TABLES, table_rows),
        table("columns", COLUMNS, column_rows),
        table("views", VIEWS, none),
        table("key_column_usage", KEY_COLUMN_USAGE, none),
        table("table_constraints", TABLE_CONSTRAINTS, none),
        table("referential_constraints", REFERENTIAL_CONSTRAINTS, none),
        table("constraint_column_usage", CONSTRAINT_COLUMN_USAGE, none),
        table("routines", ROUTINES, none),
        table("triggers", TRIGGERS, none),
        table("sequences", SEQUENCES, none),
    ]
}

const fn name(column: &'static str) -> Column {
    Column::text(column, "varchar(64)", "")
}

const SCHEMATA: &[Column] = &[name("catalog_name"), name("schema_name"), name("schema_owner")];

const TABLES: &[Column] = &[
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    name("table_type"),
    name("self_referencing_column_name").or_null(),
    name("reference_generation").or_null(),
    name("is_insertable_into"),
    name("is_typed"),
    name("commit_action").or_null(),
];

const COLUMNS: &[Column] = &[
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    name("column_name"),
    Column::int("ordinal_position", ""),
    name("column_default").or_null(),
    name("is_nullable"),
    name("data_type"),
    Column::int("character_maximum_length", "").or_null(),
    Column::int("character_octet_length", "").or_null(),
    Column::int("numeric_precision", "").or_null(),
    Column::int("numeric_precision_radix", "").or_null(),
    Column::int("numeric_scale", "").or_null(),
    Column::int("datetime_precision", "").or_null(),
    name("udt_catalog"),
    name("udt_schema"),
    name("udt_name"),
    name("is_identity"),
    name("is_generated"),
    name("is_updatable"),
];

const VIEWS: &[Column] = &[
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    name("view_definition"),
    name("check_option"),
    name("is_updatable"),
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
];

const TABLE_CONSTRAINTS: &[Column] = &[
    name("constraint_catalog"),
    name("constraint_schema"),
    name("constraint_name"),
    name("table_catalog"),
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
];

const CONSTRAINT_COLUMN_USAGE: &[Column] = &[
    name("table_catalog"),
    name("table_schema"),
    name("table_name"),
    name("column_name"),
    name("constraint_catalog"),
    name("constraint_schema"),
    name("constraint_name"),
];

const ROUTINES: &[Column] = &[
    name("specific_catalog"),
    name("specific_schema"),
    name("specific_name"),
    name("routine_catalog"),
    name("routine_schema"),
    name("routine_name"),
    name("routine_type"),
    name("data_type"),
];

const TRIGGERS: &[Column] = &[
    name("trigger_catalog"),
    name("trigger_schema"),
    name("trigger_name"),
    name("event_manipulation"),
    name("event_object_schema"),
    name("event_object_table"),
];

const SEQUENCES: &[Column] =
    &[name("sequence_catalog"), name("sequence_schema"), name("sequence_name"), name("data_type")];

fn schemata(scope: &Scope) -> Vec<Vec<Cell>> {
    let row = |schema: &str| vec![scope.catalog.as_str().into(), schema.into(), "root".into()];
    [HEAPQL, "information_schema", OCEANBASE, "pg_catalog"].map(row).into()
}

fn every_table() -> impl Iterator<Item = (&'static str, &'static Arc<dyn SystemTable>)> {
    let of = |schema| listed(schema).into_iter().flatten().map(move |table| (schema, table));
    [HEAPQL, OCEANBASE].into_iter().flat_map(of)
}

fn table_rows(scope: &Scope) -> Vec<Vec<Cell>> {
    let row = |(schema, table): (&'static str, &Arc<dyn SystemTable>)| -> Vec<Cell> {
        vec![
            scope.catalog.as_str().into(),
            schema.into(),
            table.name().into(),
            kind(schema, table).into(),
            Cell::Null,
            Cell::Null,
            "NO".into(),
            "NO".into(),
            Cell::Null,
        ]
    };
    every_table().map(row).collect()
}

fn column_rows(scope: &Scope) -> Vec<Vec<Cell>> {
    let catalog = scope.catalog.as_str();
    let of_table = |(schema, table): (&'static str, &'static Arc<dyn SystemTable>)| {
        let row = move |(index, column)| column_row(catalog, schema, table.name(), index, column);
        table.columns().iter().enumerate().map(row)
    };
    every_table().flat_map(of_table).collect()
}

fn column_row(catalog: &str, schema: &str, table: &str, index: usize, column: &Column) -> Vec<Cell> {
    let (data_type, udt) = match column.kind {
        Kind::Text => ("character varying", "varchar"),
        Kind::Int => ("bigint", "int8"),
        Kind::Float => ("double precision", "float8"),
        Kind::Bool => ("boolean", "bool"),
        Kind::Time => ("timestamp without time zone", "timestamp"),
    };
    let only = |kind: Kind, value: i64| {
        if column.kind == kind { Cell::Int(value) } else { Cell::Null }
    };
    let size = column.mysql_type.trim_start_matches("varchar(").trim_end_matches(')').parse().unwrap_or_default();
    vec![
        catalog.into(),
        schema.into(),
        table.into(),
        column.name.into(),
        Cell::Int(i64::try_from(index).unwrap_or_default() + 1),
        Cell::Null,
        if column.nullable { "YES" } else { "NO" }.into(),
        data_type.into(),
        only(Kind::Text, size),
        only(Kind::Text, size * 4),
        only(Kind::Int, 64),
        only(Kind::Int, 2),
        only(Kind::Int, 0),
        only(Kind::Time, 6),
        catalog.into(),
        "pg_catalog".into(),
        udt.into(),
        "NO".into(),
        "NEVER".into(),
        "NO".into(),
    ]
}
