//! The rows of one statement, as they arrive.

use std::pin::Pin;

use futures::StreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream};

use super::Failed;
use crate::rows::Cell;

/// What the words of a cell stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Bool,
    /// NaN and infinity are among them.
    Float,
    Number,
    Text,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

impl Column {
    pub(super) fn of(column: &tokio_postgres::Column) -> Column {
        let kind = match *column.type_() {
            Type::BOOL => Kind::Bool,
            Type::FLOAT4 | Type::FLOAT8 => Kind::Float,
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::NUMERIC => Kind::Number,
            _ => Kind::Text,
        };
        Column { name: column.name().to_owned(), kind }
    }
}

pub(crate) struct Answer {
    pub(crate) columns: Vec<Column>,
    /// Of each column in the rows as they arrive.
    places: Vec<usize>,
    rows: Pin<Box<SimpleQueryStream>>,
}

impl Answer {
    pub(super) fn new(columns: Vec<Column>, rows: SimpleQueryStream) -> Answer {
        Answer { places: (0..columns.len()).collect(), columns, rows: Box::pin(rows) }
    }

    /// Leaves out the other columns.
    pub(crate) fn keep(mut self, names: &[&str]) -> Answer {
        let kept =
            self.columns.into_iter().zip(self.places).filter(|(column, _)| names.contains(&column.name.as_str()));
        (self.columns, self.places) = kept.unzip();
        self
    }

    /// The next row; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Cell>>, Failed> {
        while let Some(message) = self.rows.next().await {
            if let SimpleQueryMessage::Row(row) = message? {
                return Ok(Some(self.cells(&row)));
            }
        }
        Ok(None)
    }

    fn cells(&self, row: &SimpleQueryRow) -> Vec<Cell> {
        let cell = |(column, place): (&Column, &usize)| {
            row.try_get(*place).ok().flatten().map_or(Cell::Null, |text| cell(column.kind, text))
        };
        self.columns.iter().zip(&self.places).map(cell).collect()
    }
}

fn cell(kind: Kind, text: &str) -> Cell {
    let is_finite = || text.parse::<f64>().is_ok_and(f64::is_finite);
    match kind {
        Kind::Bool => Cell::Bare(if text == "t" { "true" } else { "false" }.to_owned()),
        Kind::Number => Cell::Bare(text.to_owned()),
        Kind::Float if is_finite() => Cell::Bare(text.to_owned()),
        Kind::Float | Kind::Text => Cell::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_truth_values_are_bare() {
        let bare = |text: &str| Cell::Bare(text.to_owned());
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(cell(Kind::Bool, "t"), bare("true"));
        assert_eq!(cell(Kind::Bool, "f"), bare("false"));
        assert_eq!(cell(Kind::Number, "7"), bare("7"));
        assert_eq!(cell(Kind::Text, "7"), text("7"));
        assert_eq!(cell(Kind::Float, "1.5e3"), bare("1.5e3"));
        // JSON knows neither.
        assert_eq!(cell(Kind::Float, "NaN"), text("NaN"));
        assert_eq!(cell(Kind::Float, "-Infinity"), text("-Infinity"));
    }
}
