//! A column of a system table: its name, its type for the engine and for MySQL, and its sentence.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Field metadata key under which a column's MySQL type travels to DESC and to the result set.
pub const MYSQL_TYPE: &str = "mysql_type";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Time,
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub mysql_type: &'static str,
    pub nullable: bool,
    pub comment: &'static str,
}

impl Column {
    pub const fn text(name: &'static str, mysql_type: &'static str, comment: &'static str) -> Column {
        Column { name, kind: Kind::Text, mysql_type, nullable: false, comment }
    }

    pub const fn int(name: &'static str, comment: &'static str) -> Column {
        Column { name, kind: Kind::Int, mysql_type: "bigint(20)", nullable: false, comment }
    }

    pub const fn float(name: &'static str, comment: &'static str) -> Column {
        Column { name, kind: Kind::Float, mysql_type: "double", nullable: false, comment }
    }

    pub const fn bool(name: &'static str, comment: &'static str) -> Column {
        Column { name, kind: Kind::Bool, mysql_type: "tinyint(1)", nullable: false, comment }
    }

    pub const fn time(name: &'static str, comment: &'static str) -> Column {
        Column { name, kind: Kind::Time, mysql_type: "datetime(6)", nullable: false, comment }
    }

    pub const fn or_null(mut self) -> Column {
        self.nullable = true;
        self
    }

    fn field(&self) -> Field {
        let kind = match self.kind {
            Kind::Text => DataType::Utf8View,
            Kind::Int => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Bool => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
        };
        let metadata = HashMap::from([(MYSQL_TYPE.to_owned(), self.mysql_type.to_owned())]);
        Field::new(self.name, kind, self.nullable).with_metadata(metadata)
    }
}

pub fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}
