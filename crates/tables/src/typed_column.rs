//! A column of typed rows: its facts, the getter of its values, and whether a scan applies conditions on it and orders by it.
//! One line a column; a table that names a column it does not have does not compile.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, StringViewBuilder, TimestampMicrosecondArray,
};

use crate::column::{Column, ColumnKind, Unit};
use crate::request::Literal;

/// The address of the server that holds a scan's rows.
#[derive(Clone, Debug)]
pub(crate) struct ServerAddress {
    pub(crate) ip: Arc<str>,
    pub(crate) port: i64,
}

/// One column of rows of the type `R`.
pub(crate) struct TypedColumn<R: 'static> {
    pub(crate) facts: Column,
    value: Getter<R>,
    pub(crate) is_pushed: bool,
    pub(crate) is_ordered: bool,
    pub(crate) is_slow: bool,
}

enum Getter<R: 'static> {
    ServerIp,
    ServerPort,
    Text(fn(&R) -> &str),
    TextOrNull(fn(&R) -> Option<&str>),
    /// ProfileRecord into one buffer that all rows use, instead of being stored with the row.
    ProfileRecord(fn(&R, &mut String)),
    Int(fn(&R) -> i64),
    IntOrNull(fn(&R) -> Option<i64>),
    Float(fn(&R) -> f64),
    Bool(fn(&R) -> bool),
    Time(fn(&R) -> SystemTime),
    TimeOrNull(fn(&R) -> Option<SystemTime>),
}

impl<R> TypedColumn<R> {
    const fn new(facts: Column, value: Getter<R>) -> TypedColumn<R> {
        TypedColumn { facts, value, is_pushed: false, is_ordered: false, is_slow: false }
    }

    /// `svr_ip`: every scan fills it.
    pub(crate) const fn server_ip() -> TypedColumn<R> {
        let comment = "address of the server that holds the row";
        TypedColumn::new(Column::new("svr_ip", ColumnKind::Text, "varchar(46)", comment), Getter::ServerIp)
    }

    /// `svr_port`: every scan fills it.
    pub(crate) const fn server_port() -> TypedColumn<R> {
        let comment = "cluster port of the server; its MySQL port if it has none";
        TypedColumn::new(Column::of(ColumnKind::Int, "svr_port", comment), Getter::ServerPort)
    }

    pub(crate) const fn text(
        name: &'static str,
        mysql_type: &'static str,
        comment: &'static str,
        get: fn(&R) -> &str,
    ) -> TypedColumn<R> {
        TypedColumn::new(Column::new(name, ColumnKind::Text, mysql_type, comment), Getter::Text(get))
    }

    pub(crate) const fn text_or_null(
        name: &'static str,
        mysql_type: &'static str,
        comment: &'static str,
        get: fn(&R) -> Option<&str>,
    ) -> TypedColumn<R> {
        TypedColumn::new(Column::new(name, ColumnKind::Text, mysql_type, comment), Getter::TextOrNull(get)).or_null()
    }

    pub(crate) const fn written(
        name: &'static str,
        mysql_type: &'static str,
        comment: &'static str,
        write: fn(&R, &mut String),
    ) -> TypedColumn<R> {
        TypedColumn::new(Column::new(name, ColumnKind::Text, mysql_type, comment), Getter::ProfileRecord(write))
    }

    pub(crate) const fn int(name: &'static str, comment: &'static str, get: fn(&R) -> i64) -> TypedColumn<R> {
        TypedColumn::new(Column::of(ColumnKind::Int, name, comment), Getter::Int(get))
    }

    pub(crate) const fn int_or_null(
        name: &'static str,
        comment: &'static str,
        get: fn(&R) -> Option<i64>,
    ) -> TypedColumn<R> {
        TypedColumn::new(Column::of(ColumnKind::Int, name, comment), Getter::IntOrNull(get)).or_null()
    }

    pub(crate) const fn float(name: &'static str, comment: &'static str, get: fn(&R) -> f64) -> TypedColumn<R> {
        TypedColumn::new(Column::of(ColumnKind::Float, name, comment), Getter::Float(get))
    }

    pub(crate) const fn bool(name: &'static str, comment: &'static str, get: fn(&R) -> bool) -> TypedColumn<R> {
        TypedColumn::new(Column::of(ColumnKind::Bool, name, comment), Getter::Bool(get))
    }

    pub(crate) const fn time(name: &'static str, comment: &'static str, get: fn(&R) -> SystemTime) -> TypedColumn<R> {
        TypedColumn::new(Column::of(ColumnKind::Time, name, comment), Getter::Time(get))
    }

    pub(crate) const fn time_or_null(
        name: &'static str,
        comment: &'static str,
        get: fn(&R) -> Option<SystemTime>,
    ) -> TypedColumn<R> {
        TypedColumn::new(Column::of(ColumnKind::Time, name, comment), Getter::TimeOrNull(get)).or_null()
    }

    const fn or_null(mut self) -> TypedColumn<R> {
        self.facts.nullable = true;
        self
    }

    /// Gives its numbers a unit.
    pub(crate) const fn unit(mut self, unit: Unit) -> TypedColumn<R> {
        self.facts.unit = unit;
        self
    }

    /// The scan itself applies `column = literal`, so that the engine need not.
    pub(crate) const fn pushed(mut self) -> TypedColumn<R> {
        self.is_pushed = true;
        self
    }

    /// The scan can order by this number itself, so that `ORDER BY .. LIMIT 10` makes ten rows of text.
    pub(crate) const fn ordered(mut self) -> TypedColumn<R> {
        self.is_ordered = true;
        self
    }

    /// Its values may take long: rows are then made where nobody waits for the thread.
    pub(crate) const fn slow(mut self) -> TypedColumn<R> {
        self.is_slow = true;
        self
    }

    /// Whether a row's value equals a literal, exactly.
    pub(crate) fn equals(&self, row: &R, literal: &Literal) -> bool {
        match (&self.value, literal) {
            (Getter::Text(get), Literal::Text(text)) => get(row) == text,
            (Getter::TextOrNull(get), Literal::Text(text)) => get(row) == Some(text.as_str()),
            (Getter::Int(get), Literal::Int(int)) => get(row) == *int,
            (Getter::IntOrNull(get), Literal::Int(int)) => get(row) == Some(*int),
            (Getter::Bool(get), Literal::Bool(bool)) => get(row) == *bool,
            _ => false,
        }
    }

    /// The number by which a scan orders; 0 for a column that is no number.
    pub(crate) fn number(&self, row: &R) -> i64 {
        match &self.value {
            Getter::Int(get) => get(row),
            Getter::IntOrNull(get) => get(row).unwrap_or_default(),
            _ => 0,
        }
    }

    /// The values of some rows.
    pub(crate) fn array(&self, rows: &[R], server: &ServerAddress) -> ArrayRef {
        match &self.value {
            Getter::ServerIp => {
                Arc::new(std::iter::repeat_n(Some(server.ip.as_ref()), rows.len()).collect::<StringViewArray>())
            }
            Getter::ServerPort => Arc::new(Int64Array::from_value(server.port, rows.len())),
            Getter::Text(get) => Arc::new(rows.iter().map(|row| Some(get(row))).collect::<StringViewArray>()),
            Getter::TextOrNull(get) => Arc::new(rows.iter().map(get).collect::<StringViewArray>()),
            Getter::ProfileRecord(write) => written(rows, *write),
            Getter::Int(get) => Arc::new(Int64Array::from_iter_values(rows.iter().map(get))),
            Getter::IntOrNull(get) => Arc::new(rows.iter().map(get).collect::<Int64Array>()),
            Getter::Float(get) => Arc::new(Float64Array::from_iter_values(rows.iter().map(get))),
            Getter::Bool(get) => Arc::new(rows.iter().map(|row| Some(get(row))).collect::<BooleanArray>()),
            Getter::Time(get) => {
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| micros(get(row)))))
            }
            Getter::TimeOrNull(get) => {
                Arc::new(rows.iter().map(|row| get(row).map(micros)).collect::<TimestampMicrosecondArray>())
            }
        }
    }
}

fn written<R>(rows: &[R], write: fn(&R, &mut String)) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(rows.len());
    let mut buffer = String::new();
    for row in rows {
        buffer.clear();
        write(row, &mut buffer);
        builder.append_value(&buffer);
    }
    Arc::new(builder.finish())
}

/// Microseconds since 1970, as timestamp columns hold them; 0 for a time before.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
