//! The rows of one statement, as they arrive. Statements are sent by `client`.

use std::pin::Pin;

use futures::StreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream};

use super::ClientError;
use crate::rows::Cell;

/// The type of a column, as far as printing needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ColumnKind {
    Bool,
    /// A floating-point number, NaN and infinity included.
    Float,
    Number,
    Text,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
}

impl ColumnInfo {
    pub(super) fn new(column: &tokio_postgres::Column) -> ColumnInfo {
        let kind = match *column.type_() {
            Type::BOOL => ColumnKind::Bool,
            Type::FLOAT4 | Type::FLOAT8 => ColumnKind::Float,
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::NUMERIC => ColumnKind::Number,
            _ => ColumnKind::Text,
        };
        ColumnInfo { name: column.name().to_owned(), kind }
    }
}

pub(crate) struct RowStream {
    pub(crate) columns: Vec<ColumnInfo>,
    /// The position of each column in the arriving rows.
    positions: Vec<usize>,
    rows: Pin<Box<SimpleQueryStream>>,
}

impl RowStream {
    pub(super) fn new(columns: Vec<ColumnInfo>, rows: SimpleQueryStream) -> RowStream {
        RowStream { positions: (0..columns.len()).collect(), columns, rows: Box::pin(rows) }
    }

    /// Drops all other columns.
    pub(crate) fn keep(mut self, names: &[&str]) -> RowStream {
        let kept =
            self.columns.into_iter().zip(self.positions).filter(|(column, _)| names.contains(&column.name.as_str()));
        (self.columns, self.positions) = kept.unzip();
        self
    }

    /// The next row, or None after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Cell>>, ClientError> {
        while let Some(message) = self.rows.next().await {
            if let SimpleQueryMessage::Row(row) = message? {
                return Ok(Some(self.cells(&row)));
            }
        }
        Ok(None)
    }

    fn cells(&self, row: &SimpleQueryRow) -> Vec<Cell> {
        let cell = |(column, position): (&ColumnInfo, &usize)| {
            row.try_get(*position).ok().flatten().map_or(Cell::Null, |text| cell(column.kind, text))
        };
        self.columns.iter().zip(&self.positions).map(cell).collect()
    }
}

fn cell(kind: ColumnKind, text: &str) -> Cell {
    let is_finite = || text.parse::<f64>().is_ok_and(f64::is_finite);
    match kind {
        ColumnKind::Bool => Cell::Bare(if text == "t" { "true" } else { "false" }.to_owned()),
        ColumnKind::Number => Cell::Bare(text.to_owned()),
        ColumnKind::Float if is_finite() => Cell::Bare(text.to_owned()),
        ColumnKind::Float | ColumnKind::Text => Cell::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_truth_values_are_bare() {
        let bare = |text: &str| Cell::Bare(text.to_owned());
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(cell(ColumnKind::Bool, "t"), bare("true"));
        assert_eq!(cell(ColumnKind::Bool, "f"), bare("false"));
        assert_eq!(cell(ColumnKind::Number, "7"), bare("7"));
        assert_eq!(cell(ColumnKind::Text, "7"), text("7"));
        assert_eq!(cell(ColumnKind::Float, "1.5e3"), bare("1.5e3"));
        // JSON has neither.
        assert_eq!(cell(ColumnKind::Float, "NaN"), text("NaN"));
        assert_eq!(cell(ColumnKind::Float, "-Infinity"), text("-Infinity"));
    }
}
