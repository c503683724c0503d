//! The facts of a column: its name, its type for the engine and for MySQL, its unit, and its sentence. DESC, `\d`, SHOW FULL
//! COLUMNS, both information schemas and `docs/reference/tables.md` are made of them. Where its values come from is
//! `typed_table`'s.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Field metadata key under which a column's MySQL type travels to DESC and to the result set.
pub const MYSQL_TYPE: &str = "mysql_type";

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// UTF-8 text.
    Text,
    /// A signed 64-bit integer.
    Int,
    /// A 64-bit float.
    Float,
    /// A truth value.
    Bool,
    /// A moment in UTC, in microseconds.
    Time,
}

/// The unit of a column's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// No unit: a name, a number of something else, a truth.
    None,
    /// Bytes.
    Bytes,
    /// Objects of the heap.
    Objects,
    /// Seconds.
    Seconds,
    /// Bytes a minute.
    BytesPerMinute,
    /// Objects a minute.
    ObjectsPerMinute,
}

impl Unit {
    /// All units that have a name.
    const NAMED: [Unit; 5] = [Unit::Bytes, Unit::Objects, Unit::Seconds, Unit::BytesPerMinute, Unit::ObjectsPerMinute];

    /// The unit as documents print it, empty for none.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Bytes => "bytes",
            Unit::Objects => "objects",
            Unit::Seconds => "seconds",
            Unit::BytesPerMinute => "bytes/minute",
            Unit::ObjectsPerMinute => "objects/minute",
        }
    }

    /// The unit of a name, as the files of views write it.
    pub(crate) fn named(name: &str) -> Option<Unit> {
        Unit::NAMED.into_iter().find(|unit| unit.name() == name)
    }
}

/// The facts of one column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The name, in lower case.
    pub name: &'static str,
    /// The type for the engine.
    pub kind: ColumnKind,
    /// The type that MySQL clients see, such as `varchar(46)`.
    pub mysql_type: &'static str,
    /// Whether a value may be NULL.
    pub nullable: bool,
    /// The unit of its numbers.
    pub unit: Unit,
    /// One sentence without a full stop.
    pub comment: &'static str,
}

impl Column {
    pub(crate) const fn new(
        name: &'static str,
        kind: ColumnKind,
        mysql_type: &'static str,
        comment: &'static str,
    ) -> Column {
        Column { name, kind, mysql_type, nullable: false, unit: Unit::None, comment }
    }

    /// The column of a kind with the MySQL type that goes with it; a text's type says its length.
    pub(crate) const fn of(kind: ColumnKind, name: &'static str, comment: &'static str) -> Column {
        let mysql_type = match kind {
            ColumnKind::Text => "varchar(4096)",
            ColumnKind::Int => "bigint(20)",
            ColumnKind::Float => "double",
            ColumnKind::Bool => "tinyint(1)",
            ColumnKind::Time => "datetime(6)",
        };
        Column::new(name, kind, mysql_type, comment)
    }

    fn field(&self) -> Field {
        let kind = match self.kind {
            ColumnKind::Text => DataType::Utf8View,
            ColumnKind::Int => DataType::Int64,
            ColumnKind::Float => DataType::Float64,
            ColumnKind::Bool => DataType::Boolean,
            ColumnKind::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
        };
        let metadata = HashMap::from([(MYSQL_TYPE.to_owned(), self.mysql_type.to_owned())]);
        Field::new(self.name, kind, self.nullable).with_metadata(metadata)
    }
}

/// The engine's schema of these columns.
pub fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}
