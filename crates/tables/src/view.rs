//! Views: a table that is a query over others, from a file in `sql/views`.
//!
//! A file begins with its description, then names each column with its type and what it is; the query follows. The query's
//! columns are cast to the declared types. `schema` lists the views; nothing else is to know that they are no tables.
//!
//! A view that makes one row of several may name `members`, columns that say where these come from: a condition on them says
//! which of them are looked at, before they become one. (Of the row they name one member only: the others would be lost.)

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};

use crate::column::{Column, ColumnKind, Unit};
use crate::request::ScanRequest;
use crate::scope::TableScope;
use crate::table::{Batches, SystemTable};

#[derive(Debug)]
pub(crate) struct View {
    name: &'static str,
    comment: &'static str,
    columns: Vec<Column>,
    members: Vec<&'static str>,
    query: Cow<'static, str>,
}

macro_rules! views {
    ($($name:literal),* $(,)?) => {
        [$(View::parse($name, include_str!(concat!("../../../sql/views/", $name, ".sql")))),*]
    };
}

pub(crate) fn heapql() -> impl Iterator<Item = Arc<dyn SystemTable>> {
    shared(views![
        "leak_suspects",
        "live_by_callsite",
        "live_by_function",
        "live_by_label",
        "live_by_module",
        "live_by_process",
        "top",
    ])
}

pub(crate) fn oceanbase() -> impl Iterator<Item = Arc<dyn SystemTable>> {
    shared(views!["__all_virtual_memory_info", "gv$ob_memory"])
}

fn shared<const N: usize>(views: [View; N]) -> impl Iterator<Item = Arc<dyn SystemTable>> {
    views.into_iter().map(|view| -> Arc<dyn SystemTable> { Arc::new(view) })
}

/// The tables of an information schema, all in one file: each begins with "view NAME: what it is".
pub(crate) fn information_schema(text: &'static str) -> impl Iterator<Item = Arc<dyn SystemTable>> {
    text.split("-- view ").skip(1).filter_map(|section| -> Option<Arc<dyn SystemTable>> {
        let (name, rest) = section.split_once(": ")?;
        Some(Arc::new(View::parse(name, rest)))
    })
}

/// The information schema of MySQL connections.
pub(crate) const MYSQL: &str = include_str!("../../../sql/information_schema/mysql.sql");
/// The information schema of PostgreSQL connections.
pub(crate) const POSTGRES: &str = include_str!("../../../sql/information_schema/postgres.sql");

impl View {
    /// The files are part of the program: tests read them all.
    fn parse(name: &'static str, text: &'static str) -> View {
        let begin = ["\nSELECT", "\nWITH"].into_iter().filter_map(|word| text.find(word)).min();
        let head = begin.map_or(text, |at| &text[..=at]);
        let mut lines = head.lines().map(|line| line.strip_prefix("-- ").unwrap_or(line));
        let comment = lines.next().unwrap_or_default();
        let members = lines.clone().find_map(|line| line.strip_prefix("members ")?.split_once(':'));
        let columns: Vec<Column> = lines.filter_map(column).collect();
        let query = match begin {
            Some(at) => Cow::Borrowed(text[at + 1..].trim_end().trim_end_matches(';')),
            None => Cow::Owned(without_rows(&columns)),
        };
        View {
            name,
            comment,
            columns,
            members: members.map_or(Vec::new(), |(names, _)| names.split(", ").collect()),
            query,
        }
    }
}

/// The query of a view that has no rows.
fn without_rows(columns: &[Column]) -> String {
    let nulls: Vec<_> = columns.iter().map(|column| format!("NULL AS {}", column.name)).collect();
    format!("SELECT {} WHERE false", nulls.join(", "))
}

/// Reads "column NAME TYPE [UNIT]: what it is"; a type that ends in `?` may be NULL.
fn column(line: &'static str) -> Option<Column> {
    let (declared, comment) = line.strip_prefix("column ")?.split_once(':')?;
    let mut words = declared.split(' ');
    let (name, declared_type) = (words.next()?, words.next()?);
    let unit = words.next().map_or(Some(Unit::None), Unit::named)?;
    let (plain, comment) = (declared_type.trim_end_matches('?'), comment.trim_start());
    let column = match plain {
        "bigint" => Column::of(ColumnKind::Int, name, comment),
        "double" => Column::of(ColumnKind::Float, name, comment),
        "boolean" => Column::of(ColumnKind::Bool, name, comment),
        "datetime" => Column::of(ColumnKind::Time, name, comment),
        text => Column::new(name, ColumnKind::Text, text, comment),
    };
    Some(Column { nullable: plain != declared_type, unit, ..column })
}

impl SystemTable for View {
    fn name(&self) -> &'static str {
        self.name
    }

    fn comment(&self) -> &'static str {
        self.comment
    }

    fn columns(&self) -> Vec<Column> {
        self.columns.clone()
    }

    fn definition(&self) -> Option<&str> {
        Some(&self.query)
    }

    fn members(&self) -> &[&'static str] {
        &self.members
    }

    fn scan(&self, _: &TableScope, _: &ScanRequest) -> Result<Batches> {
        Err(DataFusionError::Internal(format!("{} is a view", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_view_with_described_columns() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/views");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the views")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut views: Vec<_> = heapql().chain(oceanbase()).collect();
        views.sort_by_key(|view| view.name());
        assert_eq!(files, views.iter().map(|view| format!("{}.sql", view.name())).collect::<Vec<_>>());
        for view in views {
            assert!(!view.comment().is_empty() && view.columns().len() > 1, "{}", view.name());
            assert!(view.columns().iter().all(|column| !column.comment.is_empty()), "{}", view.name());
        }
    }
}
