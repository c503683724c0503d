//! An answer that is made by hand: headings, types and cells. SHOW statements and the small tables use it.
//! It knows LIKE; a WHERE over it is the session's business.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result;

use crate::{ColumnKind, MYSQL_TYPE};
use heapql_server::like;

/// One value of an answer made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer, or a time in microseconds since 1970.
    Int(i64),
    /// A text.
    Text(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Cell {
        Cell::Int(value)
    }
}

impl Cell {
    fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(value) => Some(*value),
            _ => None,
        }
    }
}

/// The values of one column. A time is microseconds since 1970.
pub fn cells<'a>(kind: ColumnKind, cells: impl Iterator<Item = &'a Cell>) -> ArrayRef {
    match kind {
        ColumnKind::Text => Arc::new(cells.map(Cell::text).collect::<StringViewArray>()),
        ColumnKind::Int => Arc::new(cells.map(Cell::int).collect::<Int64Array>()),
        ColumnKind::Float => Arc::new(cells.map(|cell| cell.int().map(|value| value as f64)).collect::<Float64Array>()),
        ColumnKind::Bool => Arc::new(cells.map(|cell| cell.int().map(|value| value != 0)).collect::<BooleanArray>()),
        ColumnKind::Time => Arc::new(cells.map(Cell::int).collect::<TimestampMicrosecondArray>()),
    }
}

/// One column of an answer made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The heading as MySQL prints it.
    pub name: String,
    /// The type for the engine.
    pub kind: ColumnKind,
    /// The type that MySQL clients see.
    pub mysql_type: &'static str,
}

/// An answer made by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The columns.
    pub headings: Vec<Heading>,
    /// The rows; each has a cell for every heading.
    pub rows: Vec<Vec<Cell>>,
}

impl Listing {
    /// Text columns with these headings; `int` turns one into a number.
    pub fn new<const N: usize>(headings: [&str; N]) -> Listing {
        let text = |name: &str| Heading { name: name.to_owned(), kind: ColumnKind::Text, mysql_type: "varchar(4096)" };
        Listing { headings: headings.map(text).into(), rows: Vec::new() }
    }

    /// Makes the column with this heading a number.
    pub fn int(mut self, heading: &str) -> Listing {
        for column in self.headings.iter_mut().filter(|column| column.name == heading) {
            column.kind = ColumnKind::Int;
            column.mysql_type = "bigint(20)";
        }
        self
    }

    /// Adds rows.
    pub fn rows(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Listing {
        self.rows.extend(rows);
        self
    }

    /// Keeps rows whose first column is like the pattern, whatever its case (as MySQL's SHOW).
    pub fn like(mut self, pattern: &str) -> Listing {
        let pattern = pattern.to_lowercase();
        self.rows.retain(|row| row[0].text().is_some_and(|text| like::matches(&pattern, &text.to_lowercase())));
        self
    }

    /// With the headings as MySQL prints them.
    pub fn schema(&self) -> SchemaRef {
        let field = |heading: &Heading| {
            let kind = match heading.kind {
                ColumnKind::Int => DataType::Int64,
                ColumnKind::Float => DataType::Float64,
                ColumnKind::Bool => DataType::Boolean,
                ColumnKind::Text | ColumnKind::Time => DataType::Utf8View,
            };
            let metadata = HashMap::from([(MYSQL_TYPE.to_owned(), heading.mysql_type.to_owned())]);
            Field::new(&heading.name, kind, true).with_metadata(metadata)
        };
        Arc::new(Schema::new(self.headings.iter().map(field).collect::<Vec<_>>()))
    }

    /// The rows as one record batch.
    pub fn batch(&self) -> Result<RecordBatch> {
        let column = |(index, heading): (usize, &Heading)| cells(heading.kind, self.rows.iter().map(|row| &row[index]));
        let arrays = self.headings.iter().enumerate().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        Ok(RecordBatch::try_new_with_options(self.schema(), arrays, &options)?)
    }
}
