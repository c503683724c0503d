//! An answer or an error of either protocol, as text, so that tests compare the two.

/// The result set of one statement; NULL is "NULL".
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Rows said to be affected, where the statement has no result set.
    pub(crate) affected: Option<u64>,
}

impl Answer {
    /// The only value of an answer of one row and one column.
    pub(crate) fn value(&self) -> &str {
        match self.rows.as_slice() {
            [row] if row.len() == 1 => &row[0],
            _ => panic!("expected one value, got {self:?}"),
        }
    }

    pub(crate) fn number(&self) -> i64 {
        let value = self.value();
        value.parse().unwrap_or_else(|_| panic!("expected a number, got {value:?}"))
    }

    /// The values of a column.
    pub(crate) fn column(&self, name: &str) -> Vec<&str> {
        let at = self.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        let at = at.unwrap_or_else(|| panic!("there is no column {name:?} in {:?}", self.columns));
        self.rows.iter().map(|row| row[at].as_str()).collect()
    }

    pub(crate) fn numbers(&self, name: &str) -> Vec<i64> {
        self.column(name).iter().map(|value| value.parse().expect("a number")).collect()
    }
}

/// The error of a refused statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SqlError {
    /// MySQL's error number; PostgreSQL has none.
    pub(crate) number: Option<u16>,
    pub(crate) state: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl SqlError {
    /// A failure of the connection itself.
    pub(crate) fn broken(error: impl std::fmt::Display) -> SqlError {
        SqlError { number: None, state: String::new(), message: error.to_string(), hint: String::new() }
    }
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ({}): {} {}", self.number, self.state, self.message, self.hint)
    }
}

impl std::error::Error for SqlError {}
