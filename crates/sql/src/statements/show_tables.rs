//! SHOW of databases, tables, columns and indexes, with MySQL's headings and types.

use std::sync::Arc;

use super::Context;
use crate::text::tokens::Cursor;
use heapql_server::database::{HEAPQL, INFORMATION_SCHEMA, OCEANBASE};
use heapql_server::failure::{Failure, FailureKind};
use heapql_tables::listing::{Cell, Listing};
use heapql_tables::{Column, SystemTable, unknown_table};

pub(super) fn databases() -> Listing {
    let row = |name: &str| vec![name.into()];
    Listing::new(["Database"]).rows([HEAPQL, INFORMATION_SCHEMA, OCEANBASE].map(row))
}

/// `[FROM | IN] db`, else the current one.
fn database(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    if !cursor.words("FROM") && !cursor.words("IN") {
        return Ok(context.session.database());
    }
    let name = cursor.name().ok_or_else(|| cursor.unexpected("the name of a database"))?;
    let lower = name.to_ascii_lowercase();
    if heapql_tables::listed(&lower).is_some() { Ok(lower) } else { Err(Failure::unknown_database(&name)) }
}

pub(super) fn tables(context: &Context<'_>, cursor: &mut Cursor<'_>, full: bool) -> Result<Listing, Failure> {
    let database = database(context, cursor)?;
    let mut heading = format!("Tables_in_{database}");
    let mut look = cursor.clone();
    if look.words("LIKE")
        && let Some(pattern) = look.text()
    {
        heading = format!("{heading} ({pattern})");
    }
    let listed = heapql_tables::listed(&database).into_iter().flatten();
    if full {
        let row = |table: &'static Arc<dyn SystemTable>| {
            vec![table.name().into(), heapql_tables::kind(&database, table).into()]
        };
        return Ok(Listing::new([&heading, "Table_type"]).rows(listed.map(row)));
    }
    Ok(Listing::new([&heading]).rows(listed.map(|table| vec![table.name().into()])))
}

const STATUS: [&str; 18] = [
    "Name",
    "Engine",
    "Version",
    "Row_format",
    "Rows",
    "Avg_row_length",
    "Data_length",
    "Max_data_length",
    "Index_length",
    "Data_free",
    "Auto_increment",
    "Create_time",
    "Update_time",
    "Check_time",
    "Collation",
    "Checksum",
    "Create_options",
    "Comment",
];

pub(super) fn table_status(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Listing, Failure> {
    let database = database(context, cursor)?;
    let row = |table: &Arc<dyn SystemTable>| {
        let mut row = vec![Cell::Null; STATUS.len()];
        row[0] = table.name().into();
        row[1] = "HEAPQL".into();
        row[STATUS.len() - 1] = table.comment().into();
        row
    };
    Ok(Listing::new(STATUS).rows(heapql_tables::listed(&database).into_iter().flatten().map(row)))
}

/// `[db.]table`, or `table [FROM db]`, found as a query would find it.
pub(super) fn table(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<&'static Arc<dyn SystemTable>, Failure> {
    let (database, name) = cursor.qualified_name().ok_or_else(|| cursor.unexpected("the name of a table"))?;
    let database = if cursor.words("FROM") || cursor.words("IN") { cursor.name() } else { database };
    let Some(database) = database else {
        let current = context.session.database();
        let places = [OCEANBASE, HEAPQL, current.as_str()];
        return places.iter().find_map(|place| heapql_tables::find(place, &name)).ok_or_else(|| unknown_table(&name));
    };
    let lower = database.to_ascii_lowercase();
    if heapql_tables::listed(&lower).is_none() {
        return Err(Failure::unknown_database(&database));
    }
    heapql_tables::find(&lower, &name).ok_or_else(|| unknown_table(&name))
}

pub(super) fn columns(context: &Context<'_>, cursor: &mut Cursor<'_>, full: bool) -> Result<Listing, Failure> {
    if !cursor.words("FROM") && !cursor.words("IN") {
        return Err(cursor.unexpected("FROM and a table"));
    }
    Ok(described(&table(context, cursor)?.columns(), full))
}

/// DESC, exactly as OceanBase prints it.
pub(super) fn described(columns: &[Column], full: bool) -> Listing {
    let null = |column: &Column| if column.nullable { "YES" } else { "NO" };
    if !full {
        let row = |column: &Column| -> Vec<Cell> {
            vec![column.name.into(), column.mysql_type.into(), null(column).into(), "".into(), Cell::Null, "".into()]
        };
        return Listing::new(["Field", "Type", "Null", "Key", "Default", "Extra"]).rows(columns.iter().map(row));
    }
    let row = |column: &Column| -> Vec<Cell> {
        let is_text = column.mysql_type.starts_with("varchar");
        let collation = if is_text { "utf8mb4_general_ci".into() } else { Cell::Null };
        vec![
            column.name.into(),
            column.mysql_type.into(),
            collation,
            null(column).into(),
            "".into(),
            Cell::Null,
            "".into(),
            "select".into(),
            column.comment.into(),
        ]
    };
    Listing::new(["Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"])
        .rows(columns.iter().map(row))
}

pub(super) fn create_table(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Listing, Failure> {
    let table = table(context, cursor)?;
    let line = |column: &Column| {
        let null = if column.nullable { "DEFAULT NULL" } else { "NOT NULL" };
        let comment = column.comment.replace('\'', "''");
        format!("  `{}` {} {null} COMMENT '{comment}'", column.name, column.mysql_type)
    };
    let lines: Vec<_> = table.columns().iter().map(line).collect();
    let comment = table.comment().replace('\'', "''");
    let text = format!(
        "CREATE TABLE `{}` (\n{}\n) ENGINE=HEAPQL DEFAULT CHARSET=utf8mb4 COMMENT='{comment}'",
        table.name(),
        lines.join(",\n")
    );
    Ok(Listing::new(["Table", "Create Table"]).rows([vec![table.name().into(), text.into()]]))
}

pub(super) fn create_database(_: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Listing, Failure> {
    cursor.words("IF NOT EXISTS");
    let name = cursor.name().ok_or_else(|| cursor.unexpected("the name of a database"))?.to_ascii_lowercase();
    if heapql_tables::listed(&name).is_none() {
        return Err(Failure::new(FailureKind::UnknownDatabase, format!("Unknown database '{name}'")));
    }
    let text = format!("CREATE DATABASE `{name}` /*!40100 DEFAULT CHARACTER SET utf8mb4 */");
    Ok(Listing::new(["Database", "Create Database"]).rows([vec![name.into(), text.into()]]))
}

/// No table has an index; the table must exist all the same.
pub(super) fn index(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Listing, Failure> {
    if !cursor.words("FROM") && !cursor.words("IN") {
        return Err(cursor.unexpected("FROM and a table"));
    }
    table(context, cursor)?;
    Ok(Listing::new([
        "Table",
        "Non_unique",
        "Key_name",
        "Seq_in_index",
        "Column_name",
        "Collation",
        "Cardinality",
        "Sub_part",
        "Packed",
        "Null",
        "Index_type",
        "Comment",
        "Index_comment",
    ]))
}
